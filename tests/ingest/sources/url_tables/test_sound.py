"""Damaged Arrow files, and columns of kinds for which Arrow lacks functions."""

import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_contents import arrow_file, arrow_stream
from tables_read import CAT, DOG, message, pairs, read

from openalign.errors import InputError
from openalign.ingest.sources.table import TableSource
from openalign.ingest.sources.url_tables.sound import sound
from openalign.ingest.sources.url_tables.table_reading import read_file

OFFSETS = struct.pack("<4i", 0, 1, 3, 6)
"""Where the texts a, bc and def begin and end."""

OUTSIDE = struct.pack("<4i", 0, 1, 0x7F000000, 6)
TEXTS = pa.array(["a", "bc", "def"])
VIEW = pa.string_view()


def damaged(column: pa.Array) -> bytes:
    """Return an Arrow file with a column whose second text ends far outside."""
    whole = arrow_file({"url": [CAT] * 3, "caption": column})
    assert whole.count(OFFSETS) == 1
    return whole.replace(OFFSETS, OUTSIDE)


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(TEXTS, id="text"),
        pytest.param(pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), TEXTS), id="categories"),
        pytest.param(
            pa.ListArray.from_arrays(pa.array([0, 0, 3, 3], pa.int32()), TEXTS), id="list"
        ),
    ],
)
def test_a_text_that_ends_outside_the_file_is_damage_and_the_file_is_named(
    tmp_path: Path, column: pa.Array
) -> None:
    (tmp_path / "t.arrow").write_bytes(damaged(column))
    path = str(tmp_path / "t.arrow")

    [piece] = read_file(path, source=TableSource(path=path), folder=f"{tmp_path}/")

    [file] = piece.damaged_files
    assert file.name == "t.arrow"
    assert file.reason.startswith("cannot be read as arrow: ")


def test_a_column_name_that_is_no_text_is_damage(tmp_path: Path) -> None:
    whole = arrow_file({"url": [CAT], "caption": ["cat"], "other": [1]})
    (tmp_path / "t.arrow").write_bytes(whole.replace(b"other", b"oth\xfer"))

    assert "t.arrow cannot be read as arrow: " in message(tmp_path / "t.arrow")


_READ_ALL = """
import sys
from pathlib import Path
from openalign.errors import InputError
from openalign.ingest.sources.table import TableSource, check
from openalign.ingest.sources.url_tables.table_reading import read_candidates

for path in sorted(Path(sys.argv[1]).iterdir()):
    source = TableSource(path=str(path), carry_columns=("tags", "kind"), where=("n >= 1",))
    try:
        check(source)
        for _ in read_candidates(str(path), source=source):
            pass
    except InputError as error:
        assert path.name in str(error), error
"""


def test_no_damage_ends_the_process(tmp_path: Path) -> None:
    chance = random.Random(7)
    columns = {
        "url": [f"{CAT}?{n}" for n in range(30)],
        "caption": [f"cat {n}" for n in range(30)],
        "n": list(range(30)),
        "tags": [["red"] * (n % 3) for n in range(30)],
        "kind": pa.array([f"kind {n % 4}" for n in range(30)]).dictionary_encode(),
    }
    for number, write in enumerate((arrow_file, arrow_stream) * 100):
        content = bytearray(write(columns))
        at = chance.randrange(8, len(content) - 4)
        content[at : at + 4] = chance.choice([b"\0\0\0\x7f", b"\xff" * 4, chance.randbytes(4)])
        (tmp_path / f"{number}.arrow").write_bytes(content)

    ended = subprocess.run(
        [sys.executable, "-c", _READ_ALL, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), VIEW], ids=str)
def test_a_text_of_an_arrow_file_that_is_not_utf8_costs_only_its_broken_bytes(
    tmp_path: Path, kind: pa.DataType
) -> None:
    of_bytes = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
    broken = pa.array([b"a caf\xe9 in the sun"], of_bytes.get(kind, pa.binary_view())).view(kind)
    for name, column in (
        ("text", broken),
        ("list", pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), broken)),
        ("categories", pa.DictionaryArray.from_arrays(pa.array([0]), broken)),
    ):
        sink = pa.BufferOutputStream()
        table = pa.table({"url": [CAT], "caption": column})
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        path = tmp_path / f"{name}.arrow"
        path.write_bytes(sink.getvalue())

        assert pairs(path) == [(CAT, "a caf\ufffd in the sun")]


def test_a_text_within_a_structure_must_be_utf8(tmp_path: Path) -> None:
    broken = pa.array([b"caf\xe9"]).view(pa.string())
    more = pa.StructArray.from_arrays([broken], ["place"])
    pq.write_table(
        pa.table({"url": [CAT], "caption": ["cat"], "more": more}), tmp_path / "t.parquet"
    )

    with pytest.raises(InputError, match=r"t\.parquet cannot be read as parquet: .*UTF8"):
        read(tmp_path / "t.parquet", carry_columns=("more",))
    assert pairs(tmp_path / "t.parquet") == [(CAT, "cat")]


# What polars and others write ---------------------------------------------------------------------


def test_the_views_and_categories_of_polars_are_read_and_compared(tmp_path: Path) -> None:
    categories = pl.Series(["red", "blue"], dtype=pl.Categorical)
    frame = pl.DataFrame(
        {
            "url": [CAT, DOG],
            "caption": ["a cat", "a dog"],
            "n": [0, 1],
            "kind": categories,
            "tags": [["x"], ["y", "z"]],
            "kinds": pl.Series([["red"], ["blue"]], dtype=pl.List(pl.Categorical)),
            "more": [{"by": "me"}, {"by": "you"}],
        }
    )
    frame.write_ipc(tmp_path / "t.arrow")
    carried = ("kind", "tags", "kinds", "more")

    rows, counts = read(tmp_path / "t.arrow", where=("n >= 1",), carry_columns=carried)

    assert [(row["image_url"], row["alt_text"]) for row in rows] == [(DOG, "a dog")]
    assert json.loads(rows[0]["carried"]) == {
        "kind": "blue",
        "tags": ["y", "z"],
        "kinds": ["blue"],
        "more": {"by": "you"},
    }
    assert counts == {"found": 2, "left_out": 1}
    for caption in ("kind", "tags", "kinds"):
        texts = [text for _, text in pairs(tmp_path / "t.arrow", caption_column=caption)]
        assert texts == (["x", "y", "z"] if caption == "tags" else ["red", "blue"])
    assert pairs(tmp_path / "t.arrow", where=("kind == red",)) == [(CAT, "a cat")]


def test_a_parquet_of_views_is_compared(tmp_path: Path) -> None:
    columns = {"url": pa.array([CAT, DOG], VIEW), "caption": pa.array(["cat", "dog"], VIEW)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")

    assert pairs(tmp_path / "t.parquet", where=("caption != cat",)) == [(DOG, "dog")]


def test_runs_become_a_plain_column() -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"]))

    batch = sound(pa.record_batch({"runs": runs}))

    assert batch.column("runs").equals(pa.array(["a", "a", "b"]))
