"""A user's own images from a pipeline's source to its training manifest, without the network."""

import gzip
import json
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from own_images import (
    data_files,
    image_bytes,
    ni,
    run_verb,
    write_img2dataset,
    write_pipeline,
)

from openalign.files.hashing import candidate_key
from openalign.files.manifest import StageFolder
from openalign.files.shards import ShardReader
from openalign.ingest.web.client import WebClient

VERBS = ("harvest", "filter", "fetch", "select")
FOLDERS = ("candidates", "filtered", "shards", "selected")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(WebClient, "__init__", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def run_all(pipelines: Path, *words: str) -> None:
    for verb in VERBS:
        assert run_verb(verb, pipelines, *words) == 0


def manifests(root: Path) -> dict[str, Any]:
    return {name: json.loads((root / name / "manifest.json").read_text()) for name in FOLDERS}


def training(root: Path) -> list[dict[str, Any]]:
    return pl.read_parquet(root / "selected" / "training-*.parquet").sort("alt_text").to_dicts()


def images_of(root: Path) -> dict[str, bytes]:
    """Return what training would read, by the text of each pair."""
    places = StageFolder(str(root), "shards").require().places
    reader = ShardReader(str(root / "shards"), places=places)
    found = {
        row["alt_text"]: reader.read(row["shard"], row["offset"], row["length"])
        for row in training(root)
    }
    reader.close()
    return found


def test_tars_become_a_training_manifest_that_points_into_them(tmp_path: Path) -> None:
    write_img2dataset(tmp_path / "cc3m", 0, range(6))
    write_img2dataset(tmp_path / "cc3m", 1, range(6, 12))
    pipelines = write_pipeline(
        tmp_path, {"kind": "tars", "path": str(tmp_path / "cc3m" / "{00000..00001}.tar")}
    )

    run_all(pipelines)

    root = tmp_path / "run"
    assert images_of(root) == {f"a red bar number {n}": image_bytes(n) for n in range(12)}
    assert {row["key"] for row in training(root)} == {
        candidate_key(f"http://pictures.example/{n}.jpg", f"a red bar number {n}")
        for n in range(12)
    }
    assert {row["shard"] for row in training(root)} == {"source/00000.tar", "source/00001.tar"}
    assert list(root.rglob("*.tar")) == []
    found = manifests(root)
    assert found["shards"]["places"] == {"source": str(tmp_path / "cc3m")}
    assert [name for name in FOLDERS if "places" in found[name]] == ["shards"]
    assert "web" not in found["shards"]["settings"]["settings"]["fetch"]


def test_tables_of_paths_become_a_training_manifest_though_one_is_damaged(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(image_bytes(number, "PNG", (240, 220)))
    rows = [f"{n % 4}.png,it is number {n}\n" for n in range(4)] + ["4.png,is gone\n", "\0,none\n"]
    table = gzip.compress(("path,caption\n" + "".join(rows)).encode())
    for name, content in (("a", table), ("b", table[:40])):
        (tmp_path / "tables" / name).mkdir(parents=True)
        (tmp_path / "tables" / name / "x.csv.gz").write_bytes(content)
    pipelines = write_pipeline(
        tmp_path,
        {"kind": "local_files", "path": str(tmp_path), "table": str(tmp_path / "tables")},
    )

    assert [run_verb(verb, pipelines) for verb in ("harvest", *VERBS)] == [3, 3, 0, 0, 0]

    found = manifests(tmp_path / "run")["candidates"]
    assert {state: n for state, n in found["states"].items() if n} == {"kept": 4, "not_there": 2}
    assert [file["name"] for file in found["damaged_files"]] == ["b/x.csv.gz"]
    assert [(row["source"], row["found"]) for row in found["facts"]["sources"]] == [
        ("a/x.csv.gz", 6),
        ("b/x.csv.gz", 0),
    ]
    assert sorted(images_of(tmp_path / "run")) == [f"it is number {n}" for n in range(4)]
    (tmp_path / "tables" / "b" / "x.csv.gz").write_bytes(table)
    assert [run_verb("harvest", pipelines, *words) for words in ((), ("--yes",))] == [2, 0]


def test_files_become_a_training_manifest_over_shards(tmp_path: Path) -> None:
    sizes = {"wide": (700, 220), "narrow": (220, 190), "fits": (240, 220), "again": (240, 220)}
    (tmp_path / "files").mkdir()
    for number, (name, size) in enumerate(sizes.items()):
        content = image_bytes(2 if name == "again" else number, "PNG", size)
        (tmp_path / "files" / f"{name}.png").write_bytes(content)
        (tmp_path / "files" / f"{name}.txt").write_text(f"an image that is {name}")
    pipelines = write_pipeline(tmp_path, {"kind": "local_files", "path": str(tmp_path / "files")})

    run_all(pipelines)

    root = tmp_path / "run"
    assert manifests(root)["shards"]["states"]["aspect_ratio"] == 1
    assert manifests(root)["shards"]["states"]["short_side"] == 1
    assert "places" not in manifests(root)["shards"]
    read = images_of(root)
    assert sorted(read) == ["an image that is again", "an image that is fits"]
    assert len(set(read.values())) == 1  # equal bytes are one image, with two texts
    assert all(content.startswith(b"\xff\xd8\xff") for content in read.values())
    again = ni((tmp_path / "files" / "again.png").read_bytes())
    assert {row["key"] for row in training(root)} == {
        candidate_key(again, f"an image that is {name}") for name in ("again", "fits")
    }


def test_tars_that_were_moved_change_the_table_of_places_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_img2dataset(tmp_path / "here", 0, range(5))
    source = {"kind": "tars", "path": str(tmp_path / "here")}
    pipelines = write_pipeline(tmp_path, source)
    run_all(pipelines)
    root = tmp_path / "run"
    before, files = manifests(root), data_files(root, FOLDERS)

    (tmp_path / "here").rename(tmp_path / "there")
    write_pipeline(tmp_path, source | {"path": str(tmp_path / "there" / "*.tar")})
    capsys.readouterr()
    run_all(pipelines)

    assert capsys.readouterr().err.count("up to date") == 4
    assert data_files(root, FOLDERS) == files
    after = manifests(root)
    assert after["shards"].pop("places") == {"source": str(tmp_path / "there")}
    assert before["shards"].pop("places") == {"source": str(tmp_path / "here")}
    assert after == before
    assert images_of(root) == {f"a red bar number {n}": image_bytes(n) for n in range(5)}

    # Made anew from there, everything is the same but the table of places.
    write_pipeline(tmp_path, source | {"path": str(tmp_path / "there")}, root="anew")
    run_all(pipelines)
    assert data_files(tmp_path / "anew", FOLDERS) == files


def test_what_changed_in_a_tar_makes_a_harvest_out_of_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_img2dataset(tmp_path / "tars", 0, range(3))
    pipelines = write_pipeline(tmp_path, {"kind": "tars", "path": str(tmp_path / "tars")})
    run_all(pipelines)

    write_img2dataset(tmp_path / "tars", 0, range(4))

    assert run_verb("harvest", pipelines) == 2
    assert "because this changed: the content of `tars`" in capsys.readouterr().err


def test_a_fetch_that_finds_nothing_says_what_to_look_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_img2dataset(tmp_path / "tars", 0, range(3))
    pipelines = write_pipeline(tmp_path, {"kind": "tars", "path": str(tmp_path / "tars")})
    assert run_verb("harvest", pipelines) == run_verb("filter", pipelines) == 0
    (tmp_path / "tars" / "00000.tar").unlink()

    assert run_verb("fetch", pipelines) == 2
    said = capsys.readouterr().err
    assert "fetch found nothing to hand on: not_there 3" in said
    assert "hint: see that the source still holds its images" in said

    shutil.rmtree(tmp_path / "tars")
    assert run_verb("fetch", pipelines) == 2
    assert "tars is not there, and the images lie in it" in capsys.readouterr().err


def test_training_refuses_images_that_are_not_those_of_its_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_img2dataset(tmp_path / "tars", 0, range(3))
    source = {"kind": "tars", "path": str(tmp_path / "tars")}
    pipelines = write_pipeline(tmp_path, source)
    run_all(pipelines)

    few = ("train.global_batch_size=2", "train.block_size=2", "train.schedule.warmup_steps=0")
    settings = [word for setting in few for word in ("--set", setting)]

    def said() -> str:
        assert run_verb("train", pipelines, *settings) == 2
        return capsys.readouterr().err

    write_img2dataset(tmp_path / "tars", 0, [2, 1, 0])
    assert "tars are not those that `harvest` has seen" in said()
    write_img2dataset(tmp_path / "tars", 0, range(3))
    (tmp_path / "tars").rename(tmp_path / "moved")
    assert "tars names no tar" in said()
    write_pipeline(tmp_path, source | {"path": str(tmp_path / "moved")})
    assert "moved now, and `fetch` has another place written down" in said()
    assert "hint: run `openalign fetch own`" in said()
    assert not (tmp_path / "run" / "train").exists()


_KILLED = """
import os, signal, sys
from openalign import cli
from openalign.files.shards import ShardReader
from openalign.files.tars import TarMember

owner, name = {"harvest": (TarMember, "sha256"), "fetch": (ShardReader, "read")}[sys.argv[1]]
really, left = getattr(owner, name), [7]

def read(*arguments):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return really(*arguments)

setattr(owner, name, read)
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["harvest", "fetch"])
def test_a_killed_stage_gives_the_bytes_of_one_that_was_not(tmp_path: Path, verb: str) -> None:
    for shard in range(3):
        write_img2dataset(tmp_path / "tars", shard, range(4 * shard, 4 * shard + 4))
    source = {"kind": "tars", "path": str(tmp_path / "tars")}
    run_all(write_pipeline(tmp_path, source, root="whole"))
    pipelines = write_pipeline(tmp_path, source, root="cut")
    for earlier in VERBS[: VERBS.index(verb)]:
        assert run_verb(earlier, pipelines) == 0

    words = [verb, "own", "--config", str(pipelines)]
    done = subprocess.run([sys.executable, "-c", _KILLED, *words], check=False)
    assert done.returncode == -signal.SIGKILL
    sealed = list((tmp_path / "cut").glob(".shards.*/ledger-*"))
    run_all(pipelines)

    assert bool(sealed) is (verb == "fetch")
    whole, cut = (data_files(tmp_path / root, FOLDERS) for root in ("whole", "cut"))
    assert whole == cut
    assert manifests(tmp_path / "whole") == manifests(tmp_path / "cut")


@pytest.mark.parametrize("kind", ["tars", "local_files"])
def test_a_second_try_at_a_bundle_changes_no_byte(tmp_path: Path, kind: str) -> None:
    write_img2dataset(tmp_path / "own", 0, range(4))
    for number in range(4):
        (tmp_path / "own" / f"{number}.jpg").write_bytes(image_bytes(number))
        (tmp_path / "own" / f"{number}.txt").write_text(f"a red bar number {number}")
    source = {"kind": kind, "path": str(tmp_path / "own")}

    run_all(write_pipeline(tmp_path, source, root="once"))
    run_all(write_pipeline(tmp_path, source, root="twice"), "--", "--direct_runner_bundle_repeat=2")

    once, twice = (data_files(tmp_path / root, FOLDERS) for root in ("once", "twice"))
    assert once == twice
    assert manifests(tmp_path / "once") == manifests(tmp_path / "twice")
