"""Hosts that take hours: counted exactly while candidates are cut, and named before it starts."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fetches import OTHER, THIRD, row

from openalign.engines.jobs import Jobs, run_jobs
from openalign.engines.parts import Summary
from openalign.files.hashing import image_key
from openalign.files.manifest import StageResult
from openalign.files.schemas import CANDIDATE
from openalign.files.tables import write_table
from openalign.ingest import fetch
from openalign.ingest.config import FetchConfig
from openalign.ingest.fetching.setup import FetchSetup
from openalign.ingest.fetching.slow_hosts import NUM_NAMED, SlowHost, lines_about, slow_hosts
from openalign.ingest.fetching.work_plan import read_plan
from openalign.ingest.web.config import HostConfig, WebConfig

WEB = WebConfig(contact="test@example.org", requests_per_second=0.01)
"""36 requests in an hour."""

ROWS = [
    *(row(f"{OTHER}/{n}.png", "cat") for n in range(36)),
    *(row(f"{THIRD}/{n}.png", text) for n in range(20) for text in ("cat", "dog")),
]


def cut(folder: Path, rows: list[dict[str, Any]], **changes: Any) -> tuple[FetchSetup, Summary]:
    """Run the jobs of a fetch that ask no host, over two files of candidates."""
    config = FetchConfig(web=WEB, num_buckets=3, **changes)
    setup = FetchSetup(
        config=config, images_from=WEB, output=str(folder), work=str(folder / "work")
    )
    urls: list[str] = []
    for number in range(2):
        table = pa.Table.from_pylist(rows[number::2], schema=CANDIDATE)
        write_table(str(folder), f"kept-{number}.parquet", table)
        urls.append(str(folder / f"kept-{number}.parquet"))
    found: list[Summary] = []

    def collect(*ended: Any) -> StageResult:
        found.append(ended[-1].summary)
        return StageResult(num_inputs=0, states={}, num_outputs=0, files=[])

    [count, cutting, *_] = fetch.jobs(setup, kept=urls).jobs
    run_jobs(Jobs(jobs=[count, cutting], collect=collect), work=setup.work)
    return setup, found[0]


def test_hosts_that_take_more_than_an_hour_are_named_before_any_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup, summary = cut(tmp_path, ROWS)

    # 36 candidates take an hour at most, 40 take 4,000 s.
    assert slow_hosts(summary, WEB) == [SlowHost(4000.0, "third.example", 40, 0.01)]
    assert len(read_plan(setup.plan_url).slow_cells) == 1
    first, host = capsys.readouterr().err.splitlines()
    assert first.startswith("fetch      1 host takes more than an hour, and longer with a Crawl-")
    assert host == "fetch      third.example  40 candidates, 67 minutes at 0.01 requests a second"


def test_what_a_limit_leaves_for_later_takes_no_time(tmp_path: Path) -> None:
    rows = [row(f"{OTHER}/{n}.png", "cat") for n in range(200)]

    setup, summary = cut(tmp_path, rows, limit=50)

    first = read_plan(setup.plan_url).first_untried
    tried = sum(image_key(candidate["image_url"]) < first for candidate in rows)
    assert 45 <= tried <= 50
    [host] = slow_hosts(summary, WEB)
    assert (host.num_rows, host.seconds) == (tried, tried * 100.0)


def test_counts_of_many_batches_add_up(tmp_path: Path) -> None:
    rows = [
        row(f"http://h{host}.example/{n}.png", "cat") for host in range(30, 50) for n in range(host)
    ]

    _, summary = cut(tmp_path, rows)

    slow = Counter(candidate["image_url"].split("/")[2] for candidate in rows)
    expected = {host: number for host, number in slow.most_common() if number > 36}
    assert {host.host: host.num_rows for host in slow_hosts(summary, WEB)} == expected
    assert [host.num_rows for host in slow_hosts(summary, WEB)] == list(range(49, 36, -1))


def test_without_a_slow_host_nothing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(tmp_path, ROWS[:36])

    assert capsys.readouterr().err == ""


def test_a_host_that_gets_less_time_than_it_takes_is_said_to_end(tmp_path: Path) -> None:
    _, summary = cut(tmp_path, ROWS)
    limited = replace(WEB, hosts={"*.example": HostConfig(host_seconds=1800.0)})

    [host] = slow_hosts(summary, limited)

    assert host.words == (
        "67 minutes at 0.01 requests a second; `host_seconds` ends it after 30 minutes"
    )
    assert slow_hosts(summary, replace(WEB, host_seconds=4000.0))[0].words == (
        "67 minutes at 0.01 requests a second"
    )


def test_of_many_hosts_the_slowest_are_named() -> None:
    hosts = [SlowHost(3600.0 * n, f"h{n}.example", 18_000 * n, 5.0) for n in range(30, 1, -1)]

    [first, *lines, last] = lines_about(hosts)

    assert first.startswith("29 hosts take more than an hour")
    assert lines[0] == "h30.example  540,000 candidates, 30.0 hours at 5 requests a second"
    assert len(lines) == NUM_NAMED
    assert last == "and 9 more"
