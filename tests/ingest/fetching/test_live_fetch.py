"""How far a fetch is: what its workers count, and the line that people see."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_web import HOST, SITE, Reply, Web, serve
from fetches import config_of, image, row, rows_of, run

from openalign.engines import live_counts
from openalign.engines.live_counts import read_live
from openalign.files.removals import removals_of
from openalign.ingest.fetching import live_fetch
from openalign.ingest.fetching.live_fetch import FetchProgress, WaitNotes
from openalign.ingest.fetching.work_plan import WorkPlan, write_plan
from openalign.ingest.web import quiet


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(live_counts, "_SECONDS_BETWEEN_WRITES", 0.0)
    with serve({f"/{n}.png": image(n) for n in range(10)}) as running:
        yield running


@pytest.fixture
def plan_url(tmp_path: Path) -> str:
    url = str(tmp_path / "plan.json")
    write_plan(url, WorkPlan(by_host=True, num_ranges=[1], num_owners={}, num_tried=10_000))
    return url


def test_every_image_is_counted_as_it_ends_with_its_candidates(web: Web, tmp_path: Path) -> None:
    rows = rows_of([SITE], 10)  # 4 images under three texts, 6 under one
    rows += [row(f"{SITE}/gone.png", "cat"), row(f"{SITE}/removed.png", "cat")]

    result = run(
        config_of(web),
        rows,
        tmp_path / "out",
        removals=removals_of([f"{SITE}/removed.png"], [], []),
    )

    num_bytes = sum(len(reply.body) for reply in web.routes.values() if isinstance(reply, Reply))
    assert read_live(str(tmp_path / "out" / "work")) == {
        "asked": 12,
        "images/fetched": 10,
        "images/http_gone": 1,
        "images/removed": 1,
        "rows": 20,
        "bytes": num_bytes,
    }
    assert result.num_inputs == 20


def test_images_that_are_left_for_later_do_not_count(web: Web, tmp_path: Path) -> None:
    rows = [row(f"{SITE}/{n}.png", "cat") for n in range(10)]

    run(config_of(web, limit=4), rows, tmp_path / "out")

    found = read_live(str(tmp_path / "out" / "work"))
    assert (found["asked"], found["rows"], found["images/not_tried"]) == (4, 4, 0)
    plan = (tmp_path / "out" / "work" / "plan.json").read_text()
    assert '"num_tried":4' in plan


def test_shards_of_an_earlier_attempt_are_counted_apart(web: Web, tmp_path: Path) -> None:
    rows = [row(f"{SITE}/{n}.png", "cat") for n in range(10)]
    config = config_of(web, num_buckets=1, limit=9)
    run(config, rows, tmp_path / "out")
    live_counts.clear_live(str(tmp_path / "out" / "work"))
    live_counts._writer_of.cache_clear()  # pyright: ignore[reportPrivateUsage]

    run(config, rows, tmp_path / "out")

    assert read_live(str(tmp_path / "out" / "work")) == {"rows_before": 9}


def test_the_line_has_rates_shares_reasons_and_the_time_that_is_left(plan_url: str) -> None:
    progress = FetchProgress(plan_url)
    live = {
        "asked": 1500,
        "images/fetched": 700,
        "images/http_gone": 200,
        "images/timeout": 60,
        "images/dns_failure": 30,
        "images/bad_url": 10,
        "rows": 2000,
        "rows_before": 3000,
        "bytes": 50_000_000,
    }

    # 2,000 candidates in 100 s; of 10,000 there are 5,000 left.
    assert progress.words(live, 100.0) == (
        "5,000 of 10,000 candidates, 20 a second, 70.0 % of 1,000 images fetched, "
        "http_gone 20.0 %, timeout 6.0 %, dns_failure 3.0 %, 500 kB a second, "
        "500 under way, 4 minutes left"
    )


def test_rates_are_those_of_the_last_minutes(plan_url: str) -> None:
    progress = FetchProgress(plan_url)
    assert progress.words({}, 3000.0) == ""  # an hour in which candidates were cut
    lines: dict[int, str] = {}
    for seconds in range(3010, 3301, 10):
        # 10 a second, and from 3,100 on 5 a second
        done = 10 * min(seconds - 3000, 100) + 5 * max(seconds - 3100, 0)
        live = {"images/fetched": done, "rows": done, "bytes": 0}
        lines[seconds] = progress.words(live, seconds)

    assert "1,000 of 10,000 candidates, 10 a second" in lines[3100]
    assert "2,000 of 10,000 candidates, 5 a second" in lines[3300]
    assert lines[3300].endswith("27 minutes left")  # 8,000 / 5 s


def test_a_line_without_a_rate_says_no_end(plan_url: str) -> None:
    progress = FetchProgress(plan_url)
    live = {"images/fetched": 5, "rows": 5, "bytes": 10, "asked": 5}
    progress.words(live, 10.0)

    assert "left" not in progress.words(live, 500.0)
    # What is done twice is counted twice.
    line = progress.words(live | {"rows": 10_001}, 501.0)
    assert line.startswith("10,001 of 10,001 candidates")
    assert "left" not in line


def test_hosts_that_workers_wait_for_are_named(
    plan_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_counts, "_SECONDS_BETWEEN_WRITES", 0.0)
    progress = FetchProgress(plan_url)
    work = str(tmp_path)
    one, other = WaitNotes(work), WaitNotes(work)

    one.take(["slow.example", "b.example", "c.example", "d.example"])
    assert progress.words(read_live(work), 10.0) == "waits for b.example, c.example, slow.example"
    one.take(["slow.example"])
    other.take(["slow.example"])
    one.take([])

    ended = {"images/fetched": 5, "rows": 5, "asked": 7}
    line = progress.words({**read_live(work), **ended}, 10.0)
    assert ", 2 under way, " in line
    assert line.endswith("left, waits for slow.example")
    other.close()
    assert read_live(work) == {}


def test_a_fetch_names_the_host_that_does_not_answer(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "QUIET_SECONDS", 0.2)
    web.routes["/late.png"] = Reply(body=b"late", before_seconds=1)
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(live_fetch, "add_live", lambda _, counts: told.extend(counts.items()))

    run(config_of(web), [row(f"{SITE}/late.png", "cat")], tmp_path / "out")

    waits = [(name, number) for name, number in told if name.startswith("waits/")]
    assert waits == [(f"waits/{HOST}", 1), (f"waits/{HOST}", -1)]
