from pathlib import Path

import pyarrow as pa
import pytest

from openalign.errors import InputError
from openalign.files.schemas import TRAINING, TRAINING_INDEX
from openalign.files.training_index import map_training_index, write_training_index

FAR = 0x123456789AB
ROWS = [
    {"shard": "b.tar", "offset": 512, "length": 7, "alt_text": "one", "key": "0f" * 16},
    {"shard": "a.tar", "offset": FAR, "length": 9, "alt_text": "zw\u00f6lf", "key": "a0" * 16},
    {"shard": "b.tar", "offset": 512, "length": 7, "alt_text": "", "key": "ff" * 16},
]
NUMBERS = [{"image": 1, "xxh3": 2**64 - 1}, {"image": 0, "xxh3": None}, {"image": 1, "xxh3": 5}]
NAME = "training-00000-of-00002.parquet"


def written(folder: Path, rows: list[dict[str, object]]) -> Path:
    table = pa.Table.from_pylist(rows, schema=TRAINING)
    return folder / write_training_index(str(folder), NAME, table).name


def test_an_index_has_the_manifests_rows(tmp_path: Path) -> None:
    path = written(tmp_path, [row | number for row, number in zip(ROWS, NUMBERS, strict=True)])

    found = map_training_index(path)

    assert path.name == "index-00000-of-00002.arrow"
    assert (found.num_rows, found.num_images) == (3, 2)
    assert [found.shards[n].as_py() for n in found.shard] == ["b.tar", "a.tar", "b.tar"]
    assert found.offset.tolist() == [512, FAR, 512]
    assert found.length.tolist() == [7, 9, 7]
    assert found.image.tolist() == [1, 0, 1]
    assert found.xxh3.tolist() == [2**64 - 1, 0, 5]
    assert [key.as_py().hex() for key in found.key] == [row["key"] for row in ROWS]
    assert found.alt_text.to_pylist() == ["one", "zw\u00f6lf", ""]


def test_columns_are_views_of_the_file(tmp_path: Path) -> None:
    """No copy: a byte that changes in the file changes in the column."""
    path = written(tmp_path, [row | number for row, number in zip(ROWS, NUMBERS, strict=True)])
    found = map_training_index(path)
    content = path.read_bytes()
    at = content.index(FAR.to_bytes(8, "little"))

    with path.open("r+b") as file:
        file.seek(at)
        file.write((FAR + 1).to_bytes(8, "little"))

    assert found.offset.tolist() == [512, FAR + 1, 512]


def test_an_index_without_a_row_is_mapped(tmp_path: Path) -> None:
    found = map_training_index(written(tmp_path, []))

    assert (found.num_rows, found.num_images, found.offset.tolist()) == (0, 0, [])


@pytest.mark.parametrize("content", [b"", b"no Arrow file", b"ARROW1\0\0" + bytes(80)])
def test_what_is_no_index_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "index-00000-of-00001.arrow"
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"index-00000-of-00001\.arrow is no training index"):
        map_training_index(path)


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.arrow"
    schema = TRAINING_INDEX.remove(0)
    with pa.ipc.new_file(str(path), schema) as writer:
        writer.write_table(schema.empty_table())

    with pytest.raises(InputError, match=r"index\.arrow is a training index of another version"):
        map_training_index(path)
