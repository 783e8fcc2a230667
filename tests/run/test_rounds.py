"""`openalign fetch NAME --retry`: what can heal is tried again, and added to the result."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from faulty_web import HOST, SITE, Reply, Web, serve
from fetches import image

from openalign import cli
from openalign.files.facts import FetchFacts
from openalign.files.manifest import ROUND, Manifest, StageFolder
from openalign.files.tables import write_table

NUM_IMAGES = 12
BROKEN = {f"/{number}.png" for number in range(5)}
GONE = "/11.png"

PIPELINE = """
pairs:
  root: {root}
  web:
    contact: test@example.org
    requests_per_second: 1000
    num_retries: 0
    ask_tdmrep: false
    allowed_networks: [127.0.0.0/8]
    connect_to: {{{host}: "{address}"}}
  harvest:
    source: {{kind: table, path: {folder}/pairs.parquet}}
    num_files: 2
  filter:
    text: {{min_unigrams: 1, frequent: {{kind: min_count, at_least: 1}}}}
  fetch: {{num_buckets: 2, images_per_shard: 4, size_px: 20}}
  select: {{image: {{short_side_above_px: 10}}, held_out: []}}
"""


@pytest.fixture
def web() -> Iterator[Web]:
    routes = {f"/{number}.png": image(number) for number in range(NUM_IMAGES)}
    broken = dict.fromkeys(BROKEN, Reply(status=503))
    with serve({**routes, **broken, GONE: Reply(status=404)}) as running:
        yield running


@pytest.fixture
def folder(web: Web, tmp_path: Path) -> Path:
    rows = [
        {"url": f"{SITE}/{number}.png", "caption": f"cat {number} {text}"}
        for number in range(NUM_IMAGES)
        for text in ("one", "two")
    ]
    write_table(str(tmp_path), "pairs.parquet", pa.Table.from_pylist(rows))
    settings = PIPELINE.format(
        root=tmp_path / "run", folder=tmp_path, host=HOST, address=web.address
    )
    (tmp_path / "pipelines.yaml").write_text(settings)
    for verb in ("harvest", "filter", "fetch", "select"):
        assert openalign(tmp_path, verb) == 0
    return tmp_path


def openalign(folder: Path, verb: str, *options: str) -> int:
    return cli.main([verb, "pairs", "--config", f"{folder}/pipelines.yaml", *options])


def heal(web: Web, *paths: str) -> None:
    web.asked.clear()
    for path in paths:
        web.routes[path] = image(int(path[1:-4]))


def fetched(folder: Path) -> Manifest:
    return StageFolder(str(folder / "run"), "shards").require()


def states(folder: Path) -> dict[str, list[str]]:
    """Return the states of each image's rows by its path, from all ledgers that are there."""
    rows = pl.read_parquet(f"{folder}/run/shards/ledger-*.parquet")
    found: dict[str, list[str]] = {}
    for url, state in rows.select("image_url", "state").iter_rows():
        found.setdefault(url.removeprefix(SITE), []).append(state)
    return found


def test_a_round_heals_what_can_heal_and_touches_nothing_else(web: Web, folder: Path) -> None:
    before = fetched(folder)
    healed = sorted(BROKEN)[:3]
    heal(web, *healed, GONE)

    assert openalign(folder, "fetch", "--retry") == 0

    # Only what can heal was asked for: not the image that is gone, whatever it would answer now.
    assert set(web.asked) == {*BROKEN, "/robots.txt"}
    after = fetched(folder)
    assert before.states["http_server_error"] == 10
    assert after.states["http_server_error"] == 4
    assert after.states["http_gone"] == 2
    assert after.states["fetched"] == after.num_outputs == before.num_outputs + 6 == 18
    assert sum(after.states.values()) == after.num_inputs == 2 * NUM_IMAGES
    [found] = after.facts_as(FetchFacts).rounds
    assert found.num_inputs == 10
    assert found.ended == {"fetched": 6, "http_server_error": 4}
    assert after.facts_as(FetchFacts).images == {
        **dict.fromkeys(before.facts_as(FetchFacts).images, 0),
        "fetched": 9,
        "http_gone": 1,
        "http_server_error": 2,
    }
    # Each candidate is a row of one ledger, and each ended as the web says.
    expected = {f"/{n}.png": ["fetched"] * 2 for n in range(NUM_IMAGES)}
    expected |= {path: ["http_server_error"] * 2 for path in BROKEN - {*healed}}
    assert states(folder) == expected | {GONE: ["http_gone"] * 2}
    # Shards of before lie there as they were.
    old = {f.name: f.sha256 for f in before.files if f.name.endswith(".tar")}
    assert old.items() <= {f.name: f.sha256 for f in after.files}.items()
    there = {path.name for path in (folder / "run" / "shards").iterdir()}
    assert there == {f.name for f in after.files} | {"manifest.json", "COMPLETE"}


def test_the_stages_after_it_follow(web: Web, folder: Path) -> None:
    heal(web, *BROKEN)
    assert openalign(folder, "fetch", "--retry") == 0

    assert openalign(folder, "select") == 0

    selected = StageFolder(str(folder / "run"), "selected").require()
    assert selected.num_inputs == selected.num_outputs == 22
    assert openalign(folder, "fetch") == 0  # up to date: nothing is fetched again
    assert fetched(folder).num_outputs == 22


def test_rounds_come_one_after_the_other(web: Web, folder: Path) -> None:
    first, second = sorted(BROKEN)[:2]
    heal(web, first)
    assert openalign(folder, "fetch", "--retry") == 0
    heal(web, second, GONE)

    assert openalign(folder, "fetch", "--retry", "http_server_error", "http_gone") == 0

    assert set(web.asked) == {*BROKEN - {first}, GONE, "/robots.txt"}
    found = states(folder)
    assert all(len(ended) == 2 for ended in found.values())
    assert found[first] == found[second] == found[GONE] == ["fetched"] * 2
    assert [r.num_inputs for r in fetched(folder).facts_as(FetchFacts).rounds] == [10, 10]
    assert openalign(folder, "select") == 0


def test_a_limit_is_a_first_try(web: Web, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heal(web, *BROKEN, GONE)
    shutil.rmtree(folder / "run" / "shards")
    assert openalign(folder, "fetch", "--limit", "6") == 0
    assert fetched(folder).states["fetched"] == 6
    assert fetched(folder).states["not_tried"] == 18
    assert openalign(folder, "fetch") == 0
    assert "18 rows are not tried yet, and --retry goes on" in capsys.readouterr().err

    assert openalign(folder, "fetch", "--retry") == 0

    assert fetched(folder).states["fetched"] == 24


def test_without_anything_to_heal_nothing_is_asked(
    web: Web, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fetched(folder)
    heal(web)

    assert openalign(folder, "fetch", "--retry", "timeout") == 0

    assert "nothing to try again: no row is timeout" in capsys.readouterr().err
    assert fetched(folder) == before
    assert not web.asked


@pytest.mark.parametrize("state", ["timeouts", "fetched"])
def test_a_state_that_is_none_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    capsys.readouterr()

    assert openalign(folder, "fetch", "--retry", state) == 2

    assert f"'{state}' is no state that can be tried again" in capsys.readouterr().err


def test_without_a_complete_fetch_the_way_is_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert openalign(folder, "fetch", "--retry", "--set", "fetch.size_px=30") == 2

    assert "run `openalign fetch pairs` first" in capsys.readouterr().err


# Interrupted --------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
from openalign import cli
from openalign.files import storage

number, *words = sys.argv[1:]
moves = iter(range(int(number)))
move_file = storage.move_file

def move_or_die(source, target):
    if next(moves, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    move_file(source, target)

storage.move_file = move_or_die
sys.exit(cli.main(words))
"""


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("num_moved", [0, 3])
def test_a_round_that_is_killed_while_it_is_added_ends_with_the_next_command(
    web: Web, folder: Path, num_moved: int
) -> None:
    heal(web, *BROKEN)
    words = ["fetch", "pairs", "--config", f"{folder}/pipelines.yaml", "--retry"]
    command = [sys.executable, "-c", _KILLED, str(num_moved), *words]
    ended = subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
    assert ended.returncode == -signal.SIGKILL
    [partial] = (folder / "run").glob(".shards.*")
    assert (partial / ROUND).exists()
    web.asked.clear()

    assert openalign(folder, "fetch") == 0

    assert not web.asked
    after = fetched(folder)
    assert after.num_outputs == 22
    there = {path.name for path in (folder / "run" / "shards").iterdir()}
    assert there == {f.name for f in after.files} | {"manifest.json", "COMPLETE"}
    assert not list((folder / "run").glob(".shards.*"))
    assert openalign(folder, "select") == 0
