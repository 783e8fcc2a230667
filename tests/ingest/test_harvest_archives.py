"""Harvests of archives as a whole: Beam, files, damage, and the exit code of a run."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from archives_made import broken, gz, page, wat
from faulty_web import Reply, serve

from openalign.cli import main
from openalign.engines.jobs import run_jobs
from openalign.files.facts import DamagedFile
from openalign.files.manifest import StageResult
from openalign.ingest import harvest
from openalign.ingest.config import HarvestConfig
from openalign.ingest.sources.archives import archive_reading
from openalign.ingest.sources.contract import SourceSettings
from openalign.ingest.sources.warc import WarcSource
from openalign.ingest.sources.wat import WatSource
from openalign.ingest.web.config import WebConfig

QUICK = WebConfig(retry_seconds=0.01)


def numbered(number: int) -> bytes:
    """Return a page with an image of its own, one that two pages share, and one without a text."""
    shared = number // 2
    html = f"<img src=/{number}.png alt='own {number}'><img src=/s{shared}.png alt='s {shared}'>"
    return page(html + "<img src=/x.png>", url=f"http://site.example/{number}")


def archives(folder: Path, num_pages: int = 60) -> Path:
    """Write three archives, each packed in another way."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = [numbered(number) for number in range(num_pages)]
    third = num_pages // 3
    (folder / "a.warc.gz").write_bytes(gz(*pages[:third]))
    (folder / "b.warc").write_bytes(b"".join(pages[third : 2 * third]))
    (folder / "c.warc.gz").write_bytes(gz(*pages[2 * third :]))
    return folder


def run(source: SourceSettings, folder: Path, options: Sequence[str] = ()) -> StageResult:
    config = HarvestConfig(source=source, web=QUICK, num_files=3)
    work = str(folder / "work")
    jobs = harvest.jobs(config, web=config.web, output=str(folder), work=work)
    return run_jobs(jobs, work=work, beam_options=options)


def rows_of(folder: Path, table: str = "candidates") -> list[dict[str, Any]]:
    found = duckdb.sql(f"from '{folder}/{table}-*.parquet'").pl()  # pyright: ignore[reportOptionalMemberAccess]
    assert isinstance(found, pl.DataFrame)
    return found.to_dicts()


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_archives_become_sorted_files_and_every_pair_is_accounted_for(tmp_path: Path) -> None:
    result = run(WarcSource(path=str(archives(tmp_path / "in"))), tmp_path / "out")

    assert result.num_inputs == 180 == sum(result.states.values())
    assert (result.states["kept"], result.states["duplicate"]) == (90, 30)
    assert result.states["no_alt_text"] == 60
    assert result.facts.other_counts == {"parsed": 60}
    assert result.damaged_files == []
    by_text = {row["alt_text"]: row for row in rows_of(tmp_path / "out")}
    own = by_text["own 21"]  # the second page of the second archive
    assert own["archive"] == "b.warc"
    assert own["archive_offset"] == len(numbered(20))
    assert own["page_url"] == "http://site.example/21"
    assert own["address_from"] == "src"
    # Of a pair on two pages, the page that comes first by its address stays.
    assert by_text["s 10"]["page_url"] == "http://site.example/20"
    [page_row] = [r for r in rows_of(tmp_path / "out", "pages") if r["page_url"].endswith("/21")]
    assert page_row == {
        "page_url": "http://site.example/21",
        "final_url": "http://site.example/21",
        "depth": None,
        "state": "parsed",
        "http_status": 200,
        "num_candidates": 2,
    }


def test_a_wat_becomes_candidates(tmp_path: Path) -> None:
    links = [{"path": "IMG@/src", "url": f"/{n}.png", "alt": f"own {n}"} for n in range(5)]
    (tmp_path / "x.wat.gz").write_bytes(gz(wat(links), wat(links, url="http://b.example/")))

    result = run(WatSource(path=str(tmp_path / "x.wat.gz")), tmp_path / "out")

    assert (result.states["kept"], result.facts.other_counts) == (10, {"parsed": 2})
    assert {row["archive"] for row in rows_of(tmp_path / "out")} == {"x.warc.gz"}


def test_a_large_archive_is_handed_on_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = WarcSource(path=str(archives(tmp_path / "in")))
    whole = run(source, tmp_path / "whole")
    monkeypatch.setattr(archive_reading, "PIECE_ROWS", 7)

    assert asdict(run(source, tmp_path / "pieces")) == asdict(whole)
    assert bytes_of(tmp_path / "pieces") == bytes_of(tmp_path / "whole")


def damage(folder: Path) -> None:
    """Break a record of the first archive, cut the second one, and empty the third."""
    pages = [gz(numbered(number)) for number in range(20)]
    pages[3] = broken(pages[3])
    (folder / "a.warc.gz").write_bytes(b"".join(pages))
    (folder / "b.warc").write_bytes((folder / "b.warc").read_bytes()[:-50])
    (folder / "c.warc.gz").write_bytes(b"")


DAMAGED = [
    DamagedFile(name="b.warc", reason="it ends within a record: it was cut short"),
    DamagedFile(name="c.warc.gz", reason="it is empty"),
]


def test_what_is_damaged_is_named_and_all_else_is_written(tmp_path: Path) -> None:
    damage(archives(tmp_path / "in"))

    result = run(WarcSource(path=str(tmp_path / "in")), tmp_path / "out")

    assert result.damaged_files == DAMAGED
    assert result.facts.other_counts == {"parsed": 38, "cut_short": 1, "damaged": 1}
    texts = {row["alt_text"] for row in rows_of(tmp_path / "out")}
    assert {f"own {number}" for number in range(40)} - texts == {"own 3", "own 39"}


@pytest.mark.distributed
@pytest.mark.slow
def test_archives_read_twice_or_by_two_workers_give_the_same_bytes(tmp_path: Path) -> None:
    damage(archives(tmp_path / "in"))
    source = WarcSource(path=str(tmp_path / "in"))

    plain = run(source, tmp_path / "plain")
    repeated = run(source, tmp_path / "repeated", ["--direct_runner_bundle_repeat=2"])
    apart = run(
        source,
        tmp_path / "apart",
        ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    )

    assert asdict(plain) == asdict(repeated) == asdict(apart)
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "repeated")
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "apart")


_HARVEST = """
import itertools
import sys
from openalign.engines.jobs import run_jobs
from openalign.ingest import harvest
from openalign.ingest.config import HarvestConfig
from openalign.ingest.sources.archives import archive_reading
from openalign.ingest.sources.warc import WarcSource

archive_reading.PIECE_ROWS = 50
pieces, hand_on = itertools.count(1), archive_reading._PieceBuilder.harvested

def halting(piece):
    if next(pieces) == int(sys.argv[3]):
        print("now", flush=True)
        sys.stdin.read()
    return hand_on(piece)

archive_reading._PieceBuilder.harvested = halting
config = HarvestConfig(source=WarcSource(path=sys.argv[1]), num_files=3)
work = sys.argv[2] + "/work"
jobs = harvest.jobs(config, web=config.web, output=sys.argv[2], work=work)
run_jobs(jobs, work=work)
"""


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("piece", [1, 2, 30], ids=str)
def test_a_harvest_killed_at_a_piece_gives_the_bytes_of_one_that_was_not(
    tmp_path: Path, piece: int
) -> None:
    source = WarcSource(path=str(archives(tmp_path / "in", num_pages=900)))
    whole = run(source, tmp_path / "whole")
    folders = (str(tmp_path / "in"), str(tmp_path / "cut"))
    with subprocess.Popen(
        [sys.executable, "-c", _HARVEST, *folders, str(piece)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == b"now\n"
        job.kill()

    assert asdict(run(source, tmp_path / "cut")) == asdict(whole)
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")


# Web servers --------------------------------------------------------------------------------------


def test_archives_of_a_list_are_read_over_http_and_no_port_is_in_the_result(
    tmp_path: Path,
) -> None:
    folder = archives(tmp_path / "in")
    names = ["a.warc.gz", "b.warc", "c.warc.gz"]
    routes = {f"/crawl/{name}": Reply(body=(folder / name).read_bytes()) for name in names}
    listed = Reply(body="".join(f"crawl/{name}\n" for name in names).encode())
    with serve({**routes, "/list": listed}) as web:
        base = f"http://{web.address}"
        source = WarcSource(paths=f"{base}/list", prefix=base, http_requests_per_second=1000.0)
        result = run(source, tmp_path / "out")

    assert result.states["kept"] == 90
    rows = rows_of(tmp_path / "out")
    assert {row["archive"] for row in rows} == {f"crawl/{name}" for name in names}


def test_no_more_archives_are_read_from_web_servers_at_one_time_than_there_are_readers(
    tmp_path: Path,
) -> None:
    content = Reply(body=gz(numbered(1)), before_seconds=0.05)
    routes = {f"/{number}.warc": content for number in range(12)}
    listed = Reply(body="".join(f"{number}.warc\n" for number in range(12)).encode())
    with serve({**routes, "/list": listed}) as web:
        base = f"http://{web.address}"
        source = WarcSource(
            paths=f"{base}/list", prefix=base, http_readers=2, http_requests_per_second=1000.0
        )
        result = run(source, tmp_path / "out", ["--direct_num_workers=4"])
        assert web.most_at_once <= 2
        assert {path: number for path, number in web.asked.items() if path != "/list"} == {
            f"/{number}.warc": 2 if number == 0 else 1 for number in range(12)
        }  # the first one is looked at beforehand

    assert result.facts.other_counts == {"parsed": 12}


def test_an_archive_that_a_server_does_not_have_is_damaged_and_the_others_are_read(
    tmp_path: Path,
) -> None:
    with serve({"/a": Reply(body=gz(numbered(1))), "/list": Reply(body=b"a\nb\n")}) as web:
        base = f"http://{web.address}"
        result = run(WarcSource(paths=f"{base}/list", prefix=base), tmp_path / "out")

    assert result.damaged_files == [DamagedFile(name="b", reason="the server answers 404")]
    assert result.states["kept"] == 2


# The command line ---------------------------------------------------------------------------------


def command(tmp_path: Path, *words: str) -> list[str]:
    (tmp_path / "pipelines.yaml").write_text("p: {description: ''}\n")
    source = json.dumps({"kind": "warc", "path": str(tmp_path / "in")})
    return [
        *("harvest", "p", "--config", str(tmp_path / "pipelines.yaml")),
        *("--set", f"harvest.source={source}", "--set", f"root={tmp_path / 'run'}"),
        *("--set", "harvest.num_files=2", *words),
    ]


def test_a_run_with_damaged_files_names_them_and_ends_with_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(archives(tmp_path / "in"))

    assert main(command(tmp_path)) == 3
    said = capsys.readouterr().err
    assert "harvest   could not read 2 files to the end; all else is there:" in said
    assert "b.warc: it ends within a record: it was cut short" in said
    assert "c.warc.gz: it is empty" in said
    manifest = json.loads((tmp_path / "run" / "candidates" / "manifest.json").read_text())
    assert [file["name"] for file in manifest["damaged_files"]] == ["b.warc", "c.warc.gz"]

    assert main(command(tmp_path)) == 3  # nothing changed
    again = capsys.readouterr().err
    assert "harvest   up to date" in again
    assert "c.warc.gz: it is empty" in again


def test_files_that_were_mended_are_read_once_the_user_agrees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(archives(tmp_path / "in"))
    assert main(command(tmp_path)) == 3
    archives(tmp_path / "in")  # whole again

    assert main(command(tmp_path)) == 2
    assert "is complete, and would be made again because this changed: the content of `warc`" in (
        capsys.readouterr().err
    )
    assert main(command(tmp_path, "--yes")) == 0
    assert "harvest   90 of 180" in capsys.readouterr().err


def test_damaged_files_that_look_unchanged_are_read_again_once_the_user_agrees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(archives(tmp_path / "in"))
    assert main(command(tmp_path)) == 3
    before = bytes_of(tmp_path / "run" / "candidates")
    capsys.readouterr()

    assert main(command(tmp_path, "--yes")) == 3

    assert "runs again: 2 files of its input could not be read to the end" in (
        capsys.readouterr().err
    )
    assert bytes_of(tmp_path / "run" / "candidates") == before


def test_where_nothing_is_found_the_error_names_the_damaged_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.warc").write_bytes(page("<p>")[:-50])
    (tmp_path / "in" / "b.warc").write_bytes(page("<p>"))

    assert main(command(tmp_path)) == 2
    said = capsys.readouterr().err
    assert "harvest found nothing to hand on: parsed 1" in said
    assert "a.warc: it ends within a record: it was cut short" in said
