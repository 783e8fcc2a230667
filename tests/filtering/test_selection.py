import hashlib
import io
import random
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from openalign.engines.jobs import run_jobs
from openalign.errors import InputError
from openalign.files.facts import NearDuplicateFacts, SelectFacts
from openalign.files.hashing import candidate_key, image_key
from openalign.files.manifest import StageResult
from openalign.files.names import IMAGE_MEMBERS, training_index_name
from openalign.files.schemas import DECISION, FINGERPRINT, LEDGER, TRAINING
from openalign.files.shards import Sample, ShardReader, write_shard
from openalign.files.tables import read_table, write_table
from openalign.files.training_index import map_training_index
from openalign.filtering import selection
from openalign.filtering.config import ImageRules, NearDuplicates, SelectConfig
from openalign.images.hashes import fingerprint_image

Row = dict[str, Any]


def entry(
    url: str, alt_text: str, shard: str | None = "shard-00000-00000.tar", **facts: Any
) -> Row:
    """A ledger row; an image is what its `sha256` says."""
    return {
        "key": candidate_key(url, alt_text),
        "image_url": url,
        "alt_text": alt_text,
        "image_key": image_key(url),
        "state": "fetched" if shard else "timeout",
        "width_px": 300,
        "height_px": 300,
        "sha256": hashlib.sha256(url.encode()).hexdigest(),
        "phash": hashlib.sha256(url.encode()).hexdigest()[:16],
        "shard": shard,
        **facts,
    }


def write(folder: Path, rows: Sequence[Row]) -> list[str]:
    """Write each shard with its index and ledger, as fetch does; return the ledger's URLs.

    Images have every ending that fetch gives, in turn.
    """
    ledger = []
    names = sorted({str(r["shard"] or "shard-00000-00000.tar") for r in rows})
    for shard in names:
        mine = [r for r in rows if (r["shard"] or "shard-00000-00000.tar") == shard]
        mine.sort(key=lambda r: r["key"])
        images = sorted({(r["image_key"], r["image_url"]) for r in mine if r["shard"]})
        samples = [
            Sample(key, {ending: b"JPEG of " + url.encode(), "txt": b"text", "json": b"{}"})
            for (key, url), ending in zip(images, cycle(reversed(IMAGE_MEMBERS)), strict=False)
        ]
        write_shard(str(folder), shard, samples)
        name = shard.replace("shard-", "ledger-").replace(".tar", ".parquet")
        write_table(str(folder), name, pa.Table.from_pylist(mine, schema=LEDGER))
        ledger.append(str(folder / name))
    return ledger


def run(
    folder: Path,
    rows: Sequence[Row],
    *,
    config: SelectConfig | None = None,
    held_out: Sequence[Row] = (),
    flags: Sequence[str] = (),
) -> StageResult:
    ledger = write(folder / "shards", rows)
    work = str(folder / "out" / "work")
    jobs = selection.jobs(
        config or SelectConfig(num_files=2, count_buckets=3),
        ledger=ledger,
        held_out=pa.Table.from_pylist(list(held_out), schema=FINGERPRINT),
        output=str(folder / "out"),
        work=work,
    )
    return run_jobs(jobs, work=work, beam_options=flags)


def rows_of(folder: Path, result: StageResult, prefix: str) -> list[Row]:
    names = [f.name for f in result.files if f.name.startswith(prefix)]
    return [r for name in names for r in read_table(str(folder / "out" / name)).to_pylist()]


def decisions_of(folder: Path, result: StageResult) -> dict[str, str]:
    return {r["key"]: r["rule"] for r in rows_of(folder, result, "decisions-")}


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((folder / "out").iterdir()) if p.is_file()}


def test_a_training_row_points_at_its_image(tmp_path: Path) -> None:
    rows = [
        entry("http://a/1", "one"),
        entry("http://a/1", "another text of the same image"),
        entry("http://a/2", "two", "shard-00001-00000.tar"),
        entry("http://a/3", "three", "shard-00001-00000.tar"),
        entry("http://a/4", "never fetched", None),
    ]

    result = run(tmp_path, rows)

    training = rows_of(tmp_path, result, "training-")
    reader = ShardReader(str(tmp_path / "shards"))
    found = {
        r["key"]: (r["alt_text"], reader.read(r["shard"], r["offset"], r["length"]))
        for r in training
    }
    reader.close()
    assert found == {
        r["key"]: (r["alt_text"], b"JPEG of " + r["image_url"].encode()) for r in rows[:4]
    }
    assert (result.num_inputs, result.num_outputs, result.states) == (4, 4, {"kept": 4})


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        pytest.param({"width_px": 200}, "short_side", id="short side on the bound"),
        pytest.param({"width_px": 201}, None, id="short side just above"),
        pytest.param({"width_px": 900}, "aspect_ratio", id="ratio on the bound"),
        pytest.param({"width_px": 899}, None, id="ratio just below"),
    ],
)
def test_sizes_are_judged(tmp_path: Path, facts: Row, rule: str | None) -> None:
    row = entry("http://a/1", "one", **facts)

    result = run(tmp_path, [row])

    assert decisions_of(tmp_path, result) == ({row["key"]: rule} if rule else {})
    assert sum(result.states.values()) == result.num_inputs == 1


@pytest.mark.parametrize(
    ("num_texts", "rule"),
    [
        pytest.param(4, None, id="on the limit"),
        pytest.param(5, "image_with_many_alt_texts", id="above"),
    ],
)
def test_the_same_bytes_are_one_image_under_any_address(
    tmp_path: Path, num_texts: int, rule: str | None
) -> None:
    same = {"sha256": "ab" * 32}
    rows = [
        entry(f"http://a/{i % 2}", f"text {i}", f"shard-0000{i % 2}-00000.tar", **same)
        for i in range(num_texts)
    ]
    rows.append(entry("http://a/9", "TEXT  1", **same))  # no new text in its one spelling
    config = SelectConfig(image=ImageRules(max_alt_texts=4), num_files=2, count_buckets=3)

    result = run(tmp_path, [*rows, entry("http://b/1", "alone")], config=config)

    assert set(decisions_of(tmp_path, result).values()) == ({rule} if rule else set())
    assert result.num_outputs == (1 if rule else num_texts + 2)


def test_exact_copies_of_held_out_images_are_dropped(tmp_path: Path) -> None:
    seven = "0000000000000007"
    copy, other = entry("http://a/1", "one", phash=seven), entry("http://a/2", "two", phash=seven)
    held_out = [{"name": "x.png", "split": "test", "sha256": copy["sha256"], "phash": seven}]
    config = SelectConfig(near_duplicates=NearDuplicates(method="exact"), num_files=2)

    result = run(tmp_path, [copy, other], config=config, held_out=held_out)

    assert decisions_of(tmp_path, result) == {copy["key"]: "near_duplicate"}
    assert isinstance(result.facts, SelectFacts)
    assert result.facts.near_duplicates == NearDuplicateFacts(
        method="exact", radius_bits=6, num_held_out=1
    )


# Real images --------------------------------------------------------------------------------------


def drawn_image(seed: int) -> Image.Image:
    """Shapes over a gradient: unlike each other, as photographs are."""
    rng = random.Random(seed)
    y, x = np.mgrid[0:360, 0:480]
    wave = np.sin(x / rng.uniform(40, 120) + seed) + np.cos(y / rng.uniform(40, 120) - seed)
    gray = ((wave + 2) * 60).astype(np.uint8)
    image = Image.fromarray(np.stack([gray, gray // 2 + 60, 255 - gray], axis=-1))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        left, top = rng.randrange(400), rng.randrange(300)
        box = (left, top, left + rng.randrange(40, 200), top + rng.randrange(40, 200))
        draw.ellipse(box, fill=tuple(rng.randrange(256) for _ in range(3)))
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def test_reencoded_and_resized_copies_are_near_duplicates_and_others_are_not(
    tmp_path: Path,
) -> None:
    variants = {
        "the file itself": lambda p: encoded(p, "PNG"),
        "a fine JPEG": lambda p: encoded(p, "JPEG", quality=90),
        "a coarse JPEG": lambda p: encoded(p, "JPEG", quality=40),
        "half the size": lambda p: encoded(p.resize((240, 180)), "JPEG", quality=85),
        "stretched": lambda p: encoded(p.resize((600, 360)), "PNG"),
        "gray": lambda p: encoded(p.convert("L"), "PNG"),
        "brighter": lambda p: encoded(p.point(lambda v: min(255, int(v * 1.1))), "PNG"),
    }
    held_out, rows, copies = [], [], set()
    for seed in range(8):
        original = encoded(drawn_image(seed), "PNG")
        sha256, phash = fingerprint_image(original)
        name = f"{seed}.png"
        held_out.append({"name": name, "split": "test", "sha256": sha256, "phash": phash})
        for name, make in variants.items():
            sha256, phash = fingerprint_image(make(drawn_image(seed)))
            row = entry(f"http://a/{seed}/{name}", name, sha256=sha256, phash=phash)
            rows.append(row)
            copies.add(row["key"])
    for seed in range(100, 140):
        _, phash = fingerprint_image(encoded(drawn_image(seed), "PNG"))
        rows.append(entry(f"http://b/{seed}", "another", phash=phash))

    result = run(tmp_path, rows, held_out=held_out)

    assert set(decisions_of(tmp_path, result)) == copies
    assert result.num_outputs == 40


# Bytes, order, resume -----------------------------------------------------------------------------


def many_rows() -> list[Row]:
    rng = random.Random(5)
    return [
        entry(
            f"http://a/{i}",
            f"text {rng.randrange(40)}",
            rng.choice([None, "shard-00000-00000.tar", "shard-00001-00002.tar"]),
            width_px=rng.choice([150, 300, 1000]),
            sha256=f"{rng.randrange(30):064x}",
        )
        for i in range(200)
    ]


def test_each_bundle_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    flags = ["--direct_runner_bundle_repeat=2"]
    config = SelectConfig(image=ImageRules(max_alt_texts=6), num_files=2, count_buckets=5)

    one = run(tmp_path / "a", many_rows(), config=config)
    other = run(tmp_path / "b", many_rows(), config=config, flags=flags)

    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert (one.states, one.facts) == (other.states, other.facts)
    assert set(one.states) == {"kept", "short_side", "aspect_ratio", "image_with_many_alt_texts"}
    assert one.num_inputs == sum(r["shard"] is not None for r in many_rows())


def test_files_have_the_schemas_and_are_sorted_by_key(tmp_path: Path) -> None:
    result = run(tmp_path, many_rows())

    for data_file in result.files:
        if data_file.name.startswith("index-"):
            continue
        table = read_table(str(tmp_path / "out" / data_file.name))
        wanted = TRAINING if data_file.name.startswith("training-") else DECISION
        assert table.schema.equals(wanted, check_metadata=True)
        assert table.column("key").to_pylist() == sorted(table.column("key").to_pylist())


def test_pairs_of_the_same_bytes_have_one_number_one_file_and_one_place(tmp_path: Path) -> None:
    """30 images under 200 addresses; each is read from the first of its places by name."""
    rows = [row for row in many_rows() if row["shard"]]

    result = run(
        tmp_path,
        rows,
        config=SelectConfig(
            image=ImageRules(short_side_above_px=0, aspect_ratio_below=99.0), num_files=3
        ),
    )

    of_key = {row["key"]: row["sha256"] for row in rows}
    where = {}
    for row in rows:
        index = row["shard"].replace(".tar", ".index.parquet")
        for member in read_table(str(tmp_path / "shards" / index)).to_pylist():
            if member["key"] == row["image_key"] and member["member"] in IMAGE_MEMBERS:
                place = (row["shard"], member["offset"], member["length"], member["xxh3"])
                where[row["sha256"]] = min(where.get(row["sha256"], place), place)
    numbers: dict[str, set[tuple[str, int]]] = {}
    for name in [f.name for f in result.files if f.name.startswith("training-")]:
        table = read_table(str(tmp_path / "out" / name)).to_pylist()
        assert sorted({r["image"] for r in table}) == list(range(len({r["image"] for r in table})))
        for r in table:
            numbers.setdefault(of_key[r["key"]], set()).add((name, r["image"]))
            assert (r["shard"], r["offset"], r["length"], r["xxh3"]) == where[of_key[r["key"]]]
    assert all(len(found) == 1 for found in numbers.values())
    assert len({found.pop() for found in numbers.values()}) == len(set(of_key.values()))


def test_each_training_file_has_its_index(tmp_path: Path) -> None:
    result = run(tmp_path, many_rows())

    names = [f.name for f in result.files if f.name.startswith("training-")]
    assert names
    for name in names:
        index = map_training_index(tmp_path / "out" / training_index_name(name))
        table = read_table(str(tmp_path / "out" / name))
        assert [key.as_py().hex() for key in index.key] == table["key"].to_pylist()
        assert index.offset.tolist() == table["offset"].to_pylist()
        assert index.image.tolist() == table["image"].to_pylist()
        assert index.xxh3.tolist() == table["xxh3"].to_pylist()


def test_an_older_shards_index_has_no_hashes(tmp_path: Path) -> None:
    [ledger] = write(tmp_path, [entry("http://a/1", "one")])
    path = tmp_path / "shard-00000-00000.index.parquet"
    old = read_table(str(path)).drop_columns("xxh3")
    write_table(str(tmp_path), path.name, old)

    [rows] = selection._with_places(ledger)

    assert rows["xxh3"].to_pylist() == [None]


def test_nothing_fetched_leaves_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, [entry("http://a/1", "one", None)])

    assert (result.num_inputs, result.num_outputs, result.states) == (0, 0, {"kept": 0})


def test_a_shard_without_its_index_is_refused_by_name(tmp_path: Path) -> None:
    [ledger] = write(tmp_path, [entry("http://a/1", "one")])
    (tmp_path / "shard-00000-00000.index.parquet").unlink()

    with pytest.raises(InputError, match=r"ledger-00000-00000\.parquet has fetched images but"):
        list(selection._with_places(ledger))


def test_an_index_that_lacks_an_image_is_refused_by_name(tmp_path: Path) -> None:
    [ledger] = write(tmp_path / "a", [entry("http://a/1", "one")])
    write(tmp_path / "b", [entry("http://a/2", "two")])
    index = "shard-00000-00000.index.parquet"
    (tmp_path / "b" / index).replace(tmp_path / "a" / index)

    with pytest.raises(InputError, match=r"has images that are not in .*index.parquet"):
        list(selection._with_places(ledger))
