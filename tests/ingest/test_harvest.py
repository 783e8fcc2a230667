"""The harvest stage as a whole: Beam, files, counts, and being killed."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from faulty_web import HOST, SITE, Reply, Web, serve
from local_ports import free_port
from patience import PATIENCE_SECONDS

from openalign.engines.jobs import run_jobs
from openalign.errors import InputError
from openalign.files.facts import HarvestFacts
from openalign.files.manifest import StageResult
from openalign.files.schemas import CANDIDATE, PAGE
from openalign.files.tables import read_table
from openalign.ingest import harvest
from openalign.ingest.config import HarvestConfig
from openalign.ingest.sources.crawl import SiteSource
from openalign.ingest.sources.table import TableSource
from openalign.ingest.web.config import WebConfig

HTML = [("Content-Type", "text/html")]
OTHER = "http://other.example"


def page(body: str) -> Reply:
    return Reply(body=body.encode(), headers=HTML)


def small_site() -> dict[str, Any]:
    """Return 2 x 100 pages: each image on two of them, with its own text on the first."""
    routes: dict[str, Any] = {
        "/": page("".join(f"<a href=/{n:03d}.html>x</a>" for n in range(100)) + "<a href=/gone>")
    }
    for n in range(100):
        routes[f"/{n:03d}.html"] = page(
            f"<img src={SITE}/{n}.png alt='cat {n}'><img src={SITE}/{(n + 1) % 100}.png alt='cat "
            f"{(n + 1) % 100}'><img src=x.png><img src='data:x' alt=cat>"
        )
    return routes


@pytest.fixture
def web() -> Iterator[Web]:
    with serve(small_site()) as running:
        yield running


def site_config(web: Web, num_files: int = 3) -> HarvestConfig:
    source = SiteSource(seeds=(f"{SITE}/", f"{OTHER}/"))
    return HarvestConfig(source=source, web=web.download(), num_files=num_files)


def run(config: HarvestConfig, folder: Path, options: Sequence[str] = ()) -> StageResult:
    work = str(folder / "work")
    jobs = harvest.jobs(config, web=config.web, output=str(folder), work=work)
    return run_jobs(jobs, work=work, beam_options=options)


def facts_of(result: StageResult) -> HarvestFacts:
    assert isinstance(result.facts, HarvestFacts)
    return result.facts


def rows_of(folder: Path) -> pl.DataFrame:
    return duckdb.sql(f"from '{folder}/candidates-*.parquet'").pl()  # pyright: ignore[reportOptionalMemberAccess]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def page_of(folder: Path) -> str:
    return (folder / "harvest.html").read_text()


def test_a_site_becomes_sorted_files_and_every_pair_is_accounted_for(
    web: Web, tmp_path: Path
) -> None:
    result = run(site_config(web), tmp_path)

    # On each of two hosts 100 pages with four pairs each; both name the same 100 images.
    assert result.num_inputs == 800 == sum(result.states.values())
    ended = {state: number for state, number in result.states.items() if number}
    assert ended == {
        "kept": 100,
        "duplicate": 300,
        "no_alt_text": 200,
        "data_url": 200,
    }
    assert result.num_outputs == 100
    assert facts_of(result).pages == {"http_error": 2, "parsed": 202}
    names = [f.name for f in result.files if f.name != "harvest.html"]
    assert names == sorted(bytes_of(tmp_path))
    candidates = [read_table(str(tmp_path / n)) for n in names if n.startswith("candidates-")]
    for table in candidates:
        assert table.schema.equals(CANDIDATE, check_metadata=True)
        keys = table.column("key").to_pylist()
        assert keys == sorted(set(keys))
    assert sum(f.num_rows for f in result.files if f.name.startswith("pages-")) == 204
    assert read_table(str(tmp_path / "pages-00000-of-00003.parquet")).schema.equals(PAGE)


def test_of_the_same_pair_found_twice_the_first_page_by_name_stays(
    web: Web, tmp_path: Path
) -> None:
    run(site_config(web), tmp_path)

    survivors = dict(rows_of(tmp_path).select("alt_text", "page_url").iter_rows())
    # `cat 5` stands on 004.html and 005.html of both hosts; other.example sorts first.
    assert survivors["cat 5"] == f"{OTHER}/004.html"
    assert survivors["cat 0"] == f"{OTHER}/000.html"


def test_languages_of_texts_are_detected_where_that_is_asked_for(tmp_path: Path) -> None:
    html = "<img src=x.png alt='Ein rotes Boot im alten Hafen'>"
    with serve({"/": page(html)}) as web:
        source = SiteSource(seeds=(SITE,))
        run(HarvestConfig(source=source, web=web.download()), tmp_path / "without")
        config = HarvestConfig(source=source, web=web.download(), detect_languages=True)
        run(config, tmp_path / "with")

    [without] = rows_of(tmp_path / "without").to_dicts()
    assert without["text_language"] is None
    assert rows_of(tmp_path / "with").to_dicts() == [without | {"text_language": "de"}]


def test_of_the_same_pair_on_one_page_the_smallest_place_and_spelling_stay(tmp_path: Path) -> None:
    html = "<img src=./x.png title=cat><img src=x.png alt=cat><img src=/x.png alt=cat>"
    with serve({"/": page(html)}) as web:
        config = HarvestConfig(
            source=SiteSource(seeds=(SITE,)), web=web.download(), texts=("alt", "title")
        )
        result = run(config, tmp_path)

    [row] = rows_of(tmp_path).to_dicts()
    assert (row["found_in"], row["raw_image_url"]) == ("img_alt", "/x.png")
    assert result.states["duplicate"] == 2


@pytest.mark.distributed
@pytest.mark.slow
def test_bundles_repeated_and_workers_apart_give_the_same_bytes(web: Web, tmp_path: Path) -> None:
    plain = run(site_config(web), tmp_path / "plain")
    repeated = run(site_config(web), tmp_path / "repeated", ["--direct_runner_bundle_repeat=2"])
    apart = run(
        site_config(web),
        tmp_path / "apart",
        ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    )

    assert asdict(plain) == asdict(repeated) == asdict(apart)
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "repeated")
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "apart")
    pages = {page_of(tmp_path / name) for name in ("plain", "repeated", "apart")}
    assert len(pages) == 1


def test_a_table_becomes_candidates(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2):
        pl.DataFrame(
            {"url": [f"{SITE}/{n % 40}.png" for n in range(50)] + ["nonsense", f"{SITE}/1.png"]}
        ).with_columns(
            caption=pl.Series([f"cat {n % 40}" for n in range(50)] + ["cat", ""])
        ).write_parquet(tmp_path / "in" / f"{number}.parquet")
    config = HarvestConfig(
        source=TableSource(path=str(tmp_path / "in" / "*.parquet")),
        web=WebConfig(contact="test@example.org"),
        num_files=2,
    )

    result = run(config, tmp_path / "out")

    ended = {state: number for state, number in result.states.items() if number}
    assert ended == {
        "kept": 40,
        "duplicate": 60,
        "no_alt_text": 2,
        "bad_url": 2,
    }
    assert result.num_inputs == 104
    assert facts_of(result).pages == {}
    assert {f.name[:11] for f in result.files} == {"candidates-", "harvest.htm"}


def test_a_table_without_its_columns_stops_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("link,text\n")
    config = HarvestConfig(
        source=TableSource(path=str(tmp_path / "t.csv")),
        web=WebConfig(contact="test@example.org"),
    )

    with pytest.raises(InputError, match="has no column `url`; it has link, text"):
        run(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_among_several_costs_itself_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in").mkdir()
    frame = pl.DataFrame({"url": [f"{SITE}/{n}.png" for n in range(100)], "caption": "a cat"})
    for name in ("p0", "p1", "p2"):
        frame.write_parquet(tmp_path / "in" / f"{name}.parquet")
    damaged = bytearray((tmp_path / "in" / "p1.parquet").read_bytes())
    damaged[40:140] = bytes(100)
    (tmp_path / "in" / "p1.parquet").write_bytes(damaged)
    config = HarvestConfig(source=TableSource(path=str(tmp_path / "in")))

    result = run(config, tmp_path / "out")

    [file] = result.damaged_files
    assert file.name == "p1.parquet"
    assert file.reason.startswith("cannot be read as parquet: ")
    assert str(tmp_path) not in file.reason
    assert (result.states["kept"], result.states["duplicate"]) == (100, 100)
    # It is a source all the same, as a damaged archive is.
    assert {each.source: each.found for each in facts_of(result).sources} == {
        "p0.parquet": 100,
        "p1.parquet": 0,
        "p2.parquet": 100,
    }
    assert not [record for record in caplog.records if record.exc_info]  # no traceback


@pytest.mark.distributed
@pytest.mark.slow
def test_a_table_read_twice_or_by_two_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, order in (("a", 1), ("b", -1)):  # the same pairs, with other columns beside them
        numbers = list(range(50))[::order]
        pl.DataFrame(
            {
                "url": [f"{SITE}/{n}.png" for n in numbers],
                "caption": [f"cat {n}" for n in numbers],
                "score": [n * order for n in numbers],
            }
        ).write_ndjson(tmp_path / "in" / f"{name}.jsonl")
    source = TableSource(path=str(tmp_path / "in"), carry_columns=("score",))
    config = HarvestConfig(source=source, num_files=3)

    plain = run(config, tmp_path / "plain")
    repeated = run(config, tmp_path / "repeated", ["--direct_runner_bundle_repeat=2"])
    apart = run(
        config,
        tmp_path / "apart",
        ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    )

    assert (plain.states["kept"], plain.states["duplicate"]) == (50, 50)
    assert asdict(plain) == asdict(repeated) == asdict(apart)
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "repeated")
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "apart")
    pages = {page_of(tmp_path / name) for name in ("plain", "repeated", "apart")}
    assert len(pages) == 1


def test_a_host_that_is_not_there_leaves_pages_and_no_candidate(tmp_path: Path) -> None:
    with serve({}) as web:
        config = HarvestConfig(
            source=SiteSource(seeds=(f"http://127.0.0.1:{free_port()}/",)),
            web=web.download(num_retries=0),
        )

    result = run(config, tmp_path)

    assert result.num_inputs == result.num_outputs == 0
    assert facts_of(result).pages == {"unreachable": 1}


_CRAWL = """
import json, sys
from pathlib import Path
from openalign.engines.jobs import run_jobs
from openalign.ingest import harvest
from openalign.ingest.config import HarvestConfig
from openalign.ingest.sources.crawl import SiteSource
from openalign.ingest.web.config import WebConfig
from openalign.settings.yaml_reader import read_plain

web = read_plain(WebConfig, json.loads(sys.argv[2]), "the test")
config = HarvestConfig(source=SiteSource(seeds=tuple(sys.argv[3:])), web=web, num_files=3)
work = sys.argv[1] + "/work"
run_jobs(harvest.jobs(config, web=web, output=sys.argv[1], work=work), work=work)
"""


@pytest.mark.distributed
@pytest.mark.slow
def test_a_crawl_killed_in_the_middle_gives_the_bytes_of_one_that_was_not(
    web: Web, tmp_path: Path
) -> None:
    whole = run(site_config(web), tmp_path / "whole")
    reached, release = threading.Event(), threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> Reply:
        reached.set()
        release.wait(PATIENCE_SECONDS)
        return Reply(hang_up=True)

    held = f"{HOST}/070.html"  # of the second chunk of a hundred pages
    web.routes[held] = hold
    settings = json.dumps(asdict(web.download()))
    command = [sys.executable, "-c", _CRAWL, str(tmp_path / "cut"), settings, SITE, OTHER]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as crawl:
        assert reached.wait(PATIENCE_SECONDS)
        crawl.kill()
    release.set()
    del web.routes[held]
    chunks_before = [path.name for path in (tmp_path / "cut").rglob("*.json")]
    web.asked.clear()

    resumed = run(site_config(web), tmp_path / "cut")

    assert len(chunks_before) >= 2
    assert 0 < sum(web.asked.values()) < 204
    assert asdict(resumed) == asdict(whole)
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")
    assert page_of(tmp_path / "cut") == page_of(tmp_path / "whole")
