"""The fetch stage again: the same bytes whatever happens, and how a bucket is cut."""

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from faulty_web import SITE, Reply, Web, serve
from fetches import (
    OTHER,
    THIRD,
    bytes_of,
    config_of,
    image,
    ledger_of,
    make_rule,
    row,
    rows_of,
    run,
)
from patience import PATIENCE_SECONDS, wait_for

from openalign.files.hashing import image_key
from openalign.files.removals import removals_of
from openalign.ingest.fetching import work_plan


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({f"/{n}.png": image(n) for n in range(30)}) as running:
        yield running


# The same bytes, whatever happens -----------------------------------------------------------------


def test_the_order_of_candidates_and_arrivals_does_not_show(web: Web, tmp_path: Path) -> None:
    rows = rows_of([SITE, OTHER], 20)
    first = run(config_of(web), rows, tmp_path / "first")
    for n in range(20):
        web.routes[f"/{n}.png"] = image(n, before_seconds=0.002 * (20 - n))

    second = run(
        config_of(web, web=web.download(connections_per_host=20)), rows[::-1], tmp_path / "2nd"
    )

    assert asdict(first) == asdict(second)
    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "2nd")


@pytest.mark.distributed
@pytest.mark.slow
def test_bundles_repeated_and_workers_apart_give_the_same_bytes(web: Web, tmp_path: Path) -> None:
    rows = rows_of([SITE, OTHER, THIRD], 20)
    apart = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    results = {
        name: run(config_of(web), rows, tmp_path / name, options, make_rule())
        for name, options in {
            "plain": [],
            "repeated": ["--direct_runner_bundle_repeat=2"],
            "apart": apart,
        }.items()
    }

    assert asdict(results["plain"]) == asdict(results["repeated"]) == asdict(results["apart"])
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "repeated")
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "apart")


def test_a_finished_shard_is_read_and_not_fetched_again(web: Web, tmp_path: Path) -> None:
    rows = [*rows_of([SITE], 20), row(f"{SITE}/gone.png", "cat")]
    first = run(config_of(web), rows, tmp_path / "out")
    before = bytes_of(tmp_path / "out")
    [*_, ledger] = sorted((tmp_path / "out").glob("ledger-*"))
    ledger.unlink()
    web.asked.clear()

    second = run(config_of(web), rows, tmp_path / "out")

    assert asdict(second) == asdict(first)
    assert bytes_of(tmp_path / "out") == before
    assert web.asked.total() == 7 + 1  # the 21st to 15th image, and robots.txt


def test_who_goes_on_decides_what_is_tried_and_left_out(web: Web, tmp_path: Path) -> None:
    rows = [row(f"{SITE}/{n}.png", "cat") for n in range(20)]
    run(config_of(web, limit=6), rows, tmp_path / "out")
    for ledger in (tmp_path / "out").glob("ledger-*"):
        ledger.unlink()  # as if it had been killed before a shard ended
    web.asked.clear()

    removals = removals_of([f"{SITE}/3.png"], [], [])
    result = run(config_of(web), rows, tmp_path / "out", removals=removals)

    assert {state: n for state, n in result.states.items() if n} == {"fetched": 19, "removed": 1}
    assert "/3.png" not in web.asked


def test_who_goes_on_with_fewer_connections_loses_and_doubles_nothing(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_plan, "RANGE_ROWS", 10)
    rows = rows_of([SITE, OTHER], 30)
    shape = {"large_host": 10, "num_buckets": 4}
    run(config_of(web, **shape), rows, tmp_path / "out")
    ledgers = sorted((tmp_path / "out").glob("ledger-*"))
    for ledger in ledgers[::2]:
        ledger.unlink()

    # The list is why the candidates are counted again; fewer connections mean fewer owners.
    web_of_one = web.download(num_retries=0, connections_per_host=1)
    result = run(
        config_of(web, web=web_of_one, **shape),
        rows,
        tmp_path / "out",
        removals=removals_of([], ["gone.example"], []),
    )

    assert result.states["fetched"] == len(rows)
    keys = ledger_of(tmp_path / "out")["key"]
    assert keys.to_list() == sorted(candidate["key"] for candidate in rows)


def test_a_tar_that_belongs_to_no_ledger_is_removed(web: Web, tmp_path: Path) -> None:
    rows = [row(f"{SITE}/1.png", "cat")]
    run(config_of(web), rows, tmp_path / "out")
    [ledger] = (tmp_path / "out").glob("ledger-*")
    ledger.unlink()
    web.routes["/1.png"] = Reply(status=404)

    result = run(config_of(web), rows, tmp_path / "out")

    assert [f.name for f in result.files] == [ledger.name, "fetch.html"]
    assert sorted(bytes_of(tmp_path / "out")) == ["fetch.html", ledger.name]


_FETCH = """
import pickle, sys
from pathlib import Path
from openalign.engines.jobs import run_jobs
from openalign.ingest import fetch
from openalign.ingest.fetching.setup import FetchSetup

output, config, *kept = sys.argv[1:]
config = pickle.loads(Path(config).read_bytes())
work = output + "/work"
setup = FetchSetup(config=config, images_from=config.web, output=output, work=work)
run_jobs(fetch.jobs(setup, kept=kept), work=work)
"""


@pytest.mark.distributed
@pytest.mark.slow
def test_a_fetch_killed_in_the_middle_gives_the_bytes_of_one_that_was_not(
    web: Web, tmp_path: Path
) -> None:
    rows = rows_of([SITE, OTHER], 20)
    whole = run(config_of(web), rows, tmp_path / "whole")
    reached, release = threading.Event(), threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> Reply:
        reached.set()
        release.wait(PATIENCE_SECONDS)
        return Reply(hang_up=True)

    by_key = sorted((f"{OTHER}/{n}.png" for n in range(20)), key=image_key)
    held = by_key[10].removeprefix("http://")  # of the second shard of that host
    web.routes[held] = hold
    (tmp_path / "config").write_bytes(pickle.dumps(config_of(web)))
    kept = [str(tmp_path / "whole-kept" / f"kept-{n}.parquet") for n in range(2)]
    command = [sys.executable, "-c", _FETCH, tmp_path / "cut", tmp_path / "config", *kept]
    with subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL) as fetching:
        assert reached.wait(PATIENCE_SECONDS)
        wait_for(lambda: any((tmp_path / "cut").glob("ledger-*")), "the first shard's end")
        fetching.kill()
    release.set()
    del web.routes[held]
    done_before = len(list((tmp_path / "cut").glob("ledger-*")))
    web.asked.clear()

    resumed = run(config_of(web), rows, tmp_path / "cut")

    assert done_before >= 1
    assert 0 < web.asked.total() < 42
    assert asdict(resumed) == asdict(whole)
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")
