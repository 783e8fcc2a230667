"""A crawl that goes on, whatever ended it, and in which no order shows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crawls import HTML, crawl, page, setup_of
from faulty_web import HOST, SITE, Reply, Web, serve
from local_ports import free_port

from openalign.errors import StageError
from openalign.files import storage
from openalign.ingest.sources.crawl import SiteSource
from openalign.ingest.sources.site_crawl.crawl_reading import CHUNK_PAGES, crawl_site


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({}) as running:
        yield running


def wide_site(num_pages: int) -> dict[str, Any]:
    names = [f"/{n:03d}" for n in range(num_pages)]
    return {"/": page(*names)} | {name: page("/", alt=f"cat{name[1:]}") for name in names}


def test_a_crawl_goes_on_behind_its_finished_chunks(web: Web, tmp_path: Path) -> None:
    web.routes |= wide_site(2 * CHUNK_PAGES + 10)
    source = SiteSource(seeds=(f"{SITE}/",))
    first_run = crawl_site(HOST, [f"{SITE}/"], source=source, setup=setup_of(web, tmp_path / "a"))
    for _ in range(2):  # the seed, and the first chunk of the next depth
        next(first_run)
    del first_run  # closes its connections
    web.asked.clear()

    resumed = crawl(web, tmp_path / "a")
    whole = crawl(web, tmp_path / "b")

    assert resumed.pieces == whole.pieces
    assert web.asked["/"] == 1
    assert web.asked["/000"] == web.asked[f"/{CHUNK_PAGES - 1:03d}"] == 1
    assert web.asked[f"/{CHUNK_PAGES:03d}"] == 2


def test_a_finished_crawl_asks_for_nothing(web: Web, tmp_path: Path) -> None:
    web.routes |= wide_site(10)
    first = crawl(web, tmp_path)
    web.asked.clear()

    assert crawl(web, tmp_path).pieces == first.pieces
    assert not web.asked


def test_chunks_of_other_pages_are_not_used(web: Web, tmp_path: Path) -> None:
    web.routes |= {"/": page("/a"), "/a": page(alt="cat"), "/b": page(alt="dog")}
    crawl(web, tmp_path)
    [seeds_chunk] = tmp_path.rglob("00000-*.json")
    seeds_chunk.unlink()
    web.routes["/"] = page("/b")

    assert [row["alt_text"] for row in crawl(web, tmp_path).rows] == ["dog"]


def test_the_order_in_which_pages_arrive_does_not_show(web: Web, tmp_path: Path) -> None:
    web.routes |= wide_site(40)
    forwards = crawl(web, tmp_path / "a").pieces
    for number in range(40):
        path = f"/{number:03d}"
        late = page("/", alt=f"cat{path[1:]}")
        delay = 0.002 * (40 - number)
        web.routes[path] = Reply(body=late.body, headers=HTML, before_seconds=delay)

    assert crawl(web, tmp_path / "b", {"connections_per_host": 40}).pieces == forwards


def test_a_chunk_is_not_written_while_what_is_served_is_gone(web: Web, tmp_path: Path) -> None:
    web.routes["/"] = page(alt="cat")
    gone = {"connect_to": {HOST: f"127.0.0.1:{free_port()}"}}

    with pytest.raises(StageError, match="nothing listens at"):
        crawl(web, tmp_path, gone)

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["attempt"]
    assert crawl(web, tmp_path).states() == {"/": "parsed"}


def test_a_crawl_that_outlives_its_job_writes_no_chunk(web: Web, tmp_path: Path) -> None:
    web.routes["/"] = page(alt="cat")
    setup = setup_of(web, tmp_path)
    storage.remove(setup.attempt.url)

    with pytest.raises(StageError, match="the job that this worker belongs to has ended"):
        list(crawl_site(HOST, [f"{SITE}/"], source=SiteSource(seeds=(f"{SITE}/",)), setup=setup))

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
