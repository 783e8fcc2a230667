"""Fetch of images that are there already: read where they lie, and judged like any other."""

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from fetches import bytes_of, ledger_of, make_rule
from own_images import image_bytes, ni, write_tar
from PIL import Image

from openalign.engines.jobs import run_jobs
from openalign.errors import InputError, StageError
from openalign.files import storage
from openalign.files.facts import FetchFacts
from openalign.files.hashing import image_key
from openalign.files.locators import Locator
from openalign.files.manifest import StageResult
from openalign.files.schemas import CANDIDATE
from openalign.files.shards import ShardReader
from openalign.files.tables import read_table, write_table
from openalign.files.tars import tar_members
from openalign.images.forms import MEMBER_ENDINGS
from openalign.images.hashes import fingerprint_image
from openalign.images.stored import inspect, store
from openalign.ingest import fetch
from openalign.ingest.candidates import candidate_row
from openalign.ingest.config import FetchConfig
from openalign.ingest.fetching.setup import FetchSetup
from openalign.ingest.sources.contract import OwnImages

KINDS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"]


def row(content: bytes, locator: Locator, text: str = "a cat", url: str = "") -> dict[str, Any]:
    """Return a candidate whose image had this content when it was found."""
    name = url or ni(content)
    return candidate_row(
        image_url=name,
        alt_text=text,
        found_in="txt",
        raw_image_url=name,
        expected_sha256=hashlib.sha256(content).hexdigest(),
        locator=str(locator),
    )


def rows_of_tar(path: Path, contents: Sequence[bytes]) -> list[dict[str, Any]]:
    """Write images into a tar and return a candidate for each."""
    write_tar(path, [(f"{number}.jpg", content) for number, content in enumerate(contents)])
    lie = [Locator(path.name, m.offset, m.length) for m in tar_members(str(path))]
    return [row(content, at) for content, at in zip(contents, lie, strict=True)]


def run(
    images: OwnImages, rows: Sequence[dict[str, Any]], folder: Path, *options: str, **changes: Any
) -> StageResult:
    """Run the stage; a second run in a folder finds what a job left that did not end."""
    work = str(folder / "work")
    storage.remove(f"{work}/fetched.done")
    kept = folder.parent / f"{folder.name}-kept"
    table = pa.Table.from_pylist(list(rows), schema=CANDIDATE)
    write_table(str(kept), "kept-0.parquet", table)
    settings: dict[str, Any] = {
        "size_px": 20,
        "images_per_shard": 3,
        "num_buckets": 2,
    } | changes
    setup = FetchSetup(
        config=FetchConfig(**settings | changes),
        images_from=images,
        header_rule=make_rule(),
        output=str(folder),
        work=work,
    )
    jobs = fetch.jobs(setup, kept=[str(kept / "kept-0.parquet")])
    return run_jobs(jobs, work=work, beam_options=options)


def states(folder: Path) -> dict[str, str]:
    """Return the state of each candidate by its text."""
    return dict(ledger_of(folder).select("alt_text", "state").iter_rows())


# What is written ----------------------------------------------------------------------------------


def test_images_in_tars_stay_there_and_the_index_points_at_them(tmp_path: Path) -> None:
    contents = [image_bytes(number, kind) for number, kind in enumerate(KINDS)]
    rows = rows_of_tar(tmp_path / "tars" / "a.tar", contents)
    images = OwnImages(folder=str(tmp_path / "tars"), stay=True)

    result = run(images, rows, tmp_path / "out")

    assert {state: n for state, n in result.states.items() if n} == {"fetched": 7}
    written = bytes_of(tmp_path / "out")
    assert {name.partition("-")[0] for name in written} == {"ledger", "shard"}
    assert not [name for name in written if name.endswith(".tar")]
    assert isinstance(result.facts, FetchFacts)
    assert result.facts.stored_bytes == 0
    assert result.facts.num_bytes == sum(map(len, contents))

    reader = ShardReader(str(tmp_path / "out"), places={"source": images.folder})
    for path in sorted((tmp_path / "out").glob("*.index.parquet")):
        ledger = tmp_path / "out" / path.name.replace("shard", "ledger").replace(".index", "")
        shards = dict(pl.read_parquet(ledger).select("image_key", "shard").iter_rows())
        for entry in read_table(str(path)).to_pylist():
            shard = shards[entry["key"]]
            assert shard == "source/a.tar"
            content = reader.read(shard, entry["offset"], entry["length"])
            kind = Image.open(io.BytesIO(content)).format
            assert entry["member"] == MEMBER_ENDINGS[str(kind)]
            assert image_key(ni(content)) == entry["key"]
            contents.remove(content)
    reader.close()
    assert contents == []  # each was found once


def test_a_ledger_row_has_the_facts_of_a_real_decode(tmp_path: Path) -> None:
    content = image_bytes(3, "PNG", (60, 40))
    rows = rows_of_tar(tmp_path / "tars" / "a.tar", [content])

    run(OwnImages(folder=str(tmp_path / "tars"), stay=True), rows, tmp_path / "out")

    [found] = ledger_of(tmp_path / "out").to_dicts()
    sha256, phash = fingerprint_image(content)
    assert found == rows[0] | {
        "image_key": image_key(ni(content)),
        "state": "fetched",
        "detail": None,
        "http_status": None,
        "content_type": None,
        "width_px": 60,
        "height_px": 40,
        "num_bytes": len(content),
        "sha256": sha256,
        "phash": phash,
        "shard": "source/a.tar",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_what_stays_has_the_same_facts_as_what_is_stored(kind: str) -> None:
    content = image_bytes(2, kind, (90, 130))

    stored = store(content, FetchConfig(size_px=40).stored_form, max_pixels=20_000)
    stays = inspect(content, max_pixels=20_000)

    assert stays.sha256 == stored.sha256
    assert stays.phash == stored.phash
    assert (stays.width_px, stays.height_px) == (stored.width_px, stored.height_px) == (90, 130)


def test_images_that_are_files_are_stored_in_shards(tmp_path: Path) -> None:
    content = image_bytes(1, "PNG", (60, 40))
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.png").write_bytes(content)
    rows = [row(content, Locator("a.png", 0, len(content)))]

    run(OwnImages(folder=str(tmp_path / "files"), stay=False), rows, tmp_path / "out")

    [shard] = (tmp_path / "out").glob("*.tar")
    [found] = ledger_of(tmp_path / "out").to_dicts()
    members = {m.name: m.read() for m in tar_members(str(shard))}
    assert sorted(members) == [f"{image_key(ni(content))}.{e}" for e in ("jpg", "json", "txt")]
    assert (found["shard"], found["width_px"], found["state"]) == (shard.name, 60, "fetched")
    with Image.open(io.BytesIO(members[f"{image_key(ni(content))}.jpg"])) as image:
        assert (image.format, image.size) == ("JPEG", (30, 20))


def test_an_image_with_several_texts_and_places_is_read_once_from_the_first(
    tmp_path: Path,
) -> None:
    content = image_bytes(1)
    url = "http://a.example/1.jpg"
    for name in ("a.tar", "b.tar"):
        rows_of_tar(tmp_path / "tars" / name, [content])
    at = [Locator(name, 512, len(content)) for name in ("b.tar", "a.tar", "b.tar")]
    rows = [row(content, lies, f"text {n}", url) for n, lies in enumerate(at)]

    result = run(OwnImages(folder=str(tmp_path / "tars"), stay=True), rows, tmp_path / "out")

    assert isinstance(result.facts, FetchFacts)
    assert result.facts.images == {"fetched": 1}
    assert ledger_of(tmp_path / "out")["shard"].to_list() == ["source/a.tar"] * 3


# How an image can end -----------------------------------------------------------------------------


def test_every_image_that_cannot_be_used_ends_in_a_state(tmp_path: Path) -> None:
    good, other, small = image_bytes(1), image_bytes(2), image_bytes(3, "JPEG", (60, 19))
    cut = image_bytes(4)[:700]
    folder = tmp_path / "files"
    folder.mkdir()
    for name, content in {
        "good.jpg": good,
        "changed.jpg": other,
        "longer.jpg": good + b"more",
        "shorter.jpg": good[:-1],
        "small.jpg": small,
        "cut.jpg": cut,
        "text.jpg": b"no image",
        "large.jpg": bytes(4000),
    }.items():
        (folder / name).write_bytes(content)
    had = {
        "good": good,
        "changed": image_bytes(5),
        "longer": image_bytes(6),
        "shorter": image_bytes(7),
        "gone": image_bytes(8),
        "small": small,
        "cut": cut,
        "text": b"no image",
        "large": bytes(4000),
    }
    rows = [
        row(content, Locator(f"{name}.jpg", 0, len(content)), name) for name, content in had.items()
    ]

    result = run(OwnImages(folder=str(folder), stay=True), rows, tmp_path / "out", max_bytes=3999)

    assert states(tmp_path / "out") == {
        "good": "fetched",
        "changed": "hash_mismatch",
        "longer": "hash_mismatch",
        "shorter": "hash_mismatch",
        "gone": "not_there",
        "small": "short_side",
        "cut": "decode_failure",
        "text": "not_an_image",
        "large": "too_large",
    }
    assert sum(result.states.values()) == result.num_inputs == 9
    details = dict(ledger_of(tmp_path / "out").select("alt_text", "detail").iter_rows())
    assert details["gone"] == "gone.jpg"
    assert details["changed"] == f"sha256 is {hashlib.sha256(other).hexdigest()}"


def test_a_tar_that_was_packed_anew_gives_no_wrong_image(tmp_path: Path) -> None:
    """The places hold other images now, some of them whole ones."""
    contents = [image_bytes(number, "BMP") for number in range(4)]  # all of one length
    rows = rows_of_tar(tmp_path / "tars" / "a.tar", contents)
    rows_of_tar(tmp_path / "tars" / "a.tar", [contents[0], *contents[2:], contents[1]])

    result = run(OwnImages(folder=str(tmp_path / "tars"), stay=True), rows, tmp_path / "out")

    ended = {state: n for state, n in result.states.items() if n}
    assert ended == {"fetched": 1, "hash_mismatch": 3}


def test_a_file_that_may_not_be_read_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of_tar(tmp_path / "tars" / "a.tar", [image_bytes(1)])

    really_open = os.open

    def refuse(path: Path, flags: int, *more: int, **rest: int) -> int:
        if Path(path).name == "a.tar":
            raise PermissionError(13, "Permission denied")
        return really_open(path, flags, *more, **rest)

    monkeypatch.setattr(os, "open", refuse)
    run(OwnImages(folder=str(tmp_path / "tars"), stay=True), rows, tmp_path / "out")

    assert list(states(tmp_path / "out").values()) == ["not_there"]


def test_a_disk_that_fails_stops_the_job_and_seals_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of_tar(tmp_path / "tars" / "a.tar", [image_bytes(1)])
    images = OwnImages(folder=str(tmp_path / "tars"), stay=True)

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(StageError, match="Input/output error"):
        run(images, rows, tmp_path / "out")
    assert bytes_of(tmp_path / "out") == {}

    monkeypatch.undo()
    run(images, rows, tmp_path / "out")
    assert list(states(tmp_path / "out").values()) == ["fetched"]


def test_a_folder_that_is_not_there_is_named_before_anything_starts(tmp_path: Path) -> None:
    images = OwnImages(folder=str(tmp_path / "unmounted"), stay=True)

    with pytest.raises(InputError, match="unmounted is not there, and the images lie in it"):
        run(images, [], tmp_path / "out")


# The same bytes -----------------------------------------------------------------------------------


def test_the_bytes_depend_neither_on_the_place_nor_on_how_the_work_is_run(tmp_path: Path) -> None:
    contents = [image_bytes(number) for number in range(12)]
    rows = rows_of_tar(tmp_path / "here" / "a.tar", contents)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.tar").write_bytes((tmp_path / "here" / "a.tar").read_bytes())
    storage.write_bytes("memory://there/a.tar", (tmp_path / "here" / "a.tar").read_bytes())

    def written(name: str, folder: str, *options: str, order: int = 1) -> dict[str, bytes]:
        images = OwnImages(folder=folder, stay=True)
        run(images, rows[::order], tmp_path / name, *options)
        return bytes_of(tmp_path / name)

    first = written("one", str(tmp_path / "here"))
    assert first == written("two", str(tmp_path / "there"), order=-1)
    assert first == written("three", "memory://there")
    twice = ("--direct_runner_bundle_repeat=2",)
    assert first == written("four", str(tmp_path / "here"), *twice)
    # A rerun goes on behind the ledgers that stand.
    (tmp_path / "one" / "ledger-00000-00000.parquet").unlink()
    assert first == written("one", str(tmp_path / "here"))
