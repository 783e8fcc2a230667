"""What a harvest tells people: exact counts, whatever order and bundles its rows came in."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from openalign.engines.jobs import run_jobs
from openalign.files.facts import CountedValue, HarvestFacts, Ranking, SourceRows
from openalign.files.manifest import StageResult
from openalign.ingest import harvest
from openalign.ingest.config import HarvestConfig
from openalign.ingest.harvest_tallies import NUM_TOP
from openalign.ingest.sources.local_files import LocalFilesSource
from openalign.ingest.sources.table import TableSource


def harvest_of(
    folder: Path, out: Path, num_files: int = 4, **settings: Any
) -> tuple[StageResult, HarvestFacts]:
    source = TableSource(path=str(folder), language_column="language")
    config = HarvestConfig(**{"source": source, "num_files": num_files, **settings})
    work = str(out / "work")
    jobs = harvest.jobs(config, web=config.web, output=str(out), work=work)
    result = run_jobs(jobs, work=work)
    assert isinstance(result.facts, HarvestFacts)
    return result, result.facts


def write(path: Path, rows: list[tuple[str, str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema=["url", "caption", "language"], orient="row").write_csv(path)


def test_sources_count_what_they_gave_and_the_rest_what_is_kept(tmp_path: Path) -> None:
    write(
        tmp_path / "in" / "a" / "x.csv",
        [
            ("http://one.example/1.png", "a cat", "en"),
            ("http://one.example/1.png", "a cat", "en"),  # a duplicate
            ("http://one.example/2.png", "ein Hund", "de"),
            ("http://two.example/3.png", "", "en"),
        ],
    )
    write(
        tmp_path / "in" / "b.csv",
        [
            ("http://one.example/1.png", "a cat", "en"),  # another
            ("https://two.example:81/4.png", "a dog", ""),
            ("nonsense", "a dog", "en"),
        ],
    )

    result, facts = harvest_of(tmp_path / "in", tmp_path / "out", num_files=3)

    assert result.num_inputs == 7
    assert result.num_outputs == 3
    assert facts.sources == [
        SourceRows(source="a/x.csv", pages=0, found=4, candidates=3),
        SourceRows(source="b.csv", pages=0, found=3, candidates=2),
    ]
    assert facts.num_sources == 2
    assert facts.found_in == {"table": 3}
    assert facts.hosts == Ranking(
        top=[
            CountedValue(value="one.example", rows=2),
            CountedValue(value="two.example:81", rows=1),
        ],
        num_values=2,
    )
    assert facts.languages == Ranking(
        top=[CountedValue(value=name, rows=1) for name in ("", "de", "en")], num_values=3
    )
    assert {(each.found_in, each.alt_text) for each in facts.samples} == {
        ("table", "a cat"),
        ("table", "ein Hund"),
        ("table", "a dog"),
    }


def test_hosts_are_counted_exactly_over_many_files(tmp_path: Path) -> None:
    # Host n stands on n rows, so the largest are known; as many as are shown, and some more.
    rows = [
        (f"http://h{host:03d}.example/{n}.png", f"cat {n}", "en")
        for host in range(1, NUM_TOP + 16)
        for n in range(host)
    ]
    write(tmp_path / "in" / "whole.csv", rows)
    for number in range(4):
        write(tmp_path / "parts" / f"{number}.csv", rows[number::4][::-1])

    _, whole = harvest_of(tmp_path / "in", tmp_path / "a", num_files=2)
    _, parts = harvest_of(tmp_path / "parts", tmp_path / "b", num_files=5)

    largest = range(NUM_TOP + 15, 15, -1)
    top = [CountedValue(value=f"h{host:03d}.example", rows=host) for host in largest]
    assert whole.hosts == parts.hosts == Ranking(top=top, num_values=NUM_TOP + 15)
    assert whole.samples == parts.samples
    # The slow way: read the rows that were written.
    written = duckdb.sql(f"select * from '{tmp_path}/b/candidates-*.parquet'").pl()  # pyright: ignore[reportOptionalMemberAccess]
    slow = Counter(url.split("/")[2] for url in written["image_url"])
    assert [(each.value, each.rows) for each in parts.hosts.top] == slow.most_common(NUM_TOP)
    assert [each.key for each in parts.samples] == sorted(written["key"])[:3]


def test_texts_whose_language_is_not_told_count_in_every_file(tmp_path: Path) -> None:
    texts = ["7", "8 x 8", "a black cat sits on the warm stones of the old harbour wall"]
    rows = [(f"http://a.example/{n}.png", text, "en") for n, text in enumerate(texts)]
    write(tmp_path / "in" / "t.csv", rows)

    # With so many files no two rows are in one.
    _, facts = harvest_of(tmp_path / "in", tmp_path / "out", num_files=512, detect_languages=True)

    assert facts.text_languages == Ranking(
        top=[CountedValue(value="", rows=2), CountedValue(value="en", rows=1)], num_values=2
    )
    _, facts = harvest_of(tmp_path / "in", tmp_path / "not", num_files=512)
    assert facts.text_languages == Ranking()


def test_images_that_their_bytes_name_are_on_no_host(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(b"%d" % number)
        (tmp_path / "in" / f"{number}.txt").write_text("a cat")
    (tmp_path / "in" / "0.json").write_text('{"url": "http://a.example/0.jpg"}')

    source = LocalFilesSource(path=str(tmp_path / "in"))
    result, facts = harvest_of(tmp_path / "in", tmp_path / "out", source=source)

    assert result.num_outputs == 3
    assert facts.hosts == Ranking(top=[CountedValue(value="a.example", rows=1)], num_values=1)
    (tmp_path / "in" / "0.json").unlink()
    _, facts = harvest_of(tmp_path / "in", tmp_path / "none", source=source)
    assert facts.hosts == Ranking()
    assert "Hosts of images" not in (tmp_path / "none" / "harvest.html").read_text()


def test_of_many_sources_those_that_gave_most_are_named(tmp_path: Path) -> None:
    for number in range(NUM_TOP + 3):
        rows = [(f"http://a.example/{number}-{n}.png", "a cat", "en") for n in range(number + 1)]
        write(tmp_path / "in" / f"{number:03d}.csv", rows)

    _, facts = harvest_of(tmp_path / "in", tmp_path / "out", num_files=2)

    assert facts.num_sources == NUM_TOP + 3
    assert [each.found for each in facts.sources] == list(range(NUM_TOP + 3, 3, -1))
    assert sum(each.rows for each in facts.hosts.top) == sum(range(NUM_TOP + 4))


def test_neither_paths_nor_patience_are_on_the_page(tmp_path: Path) -> None:
    rows = [("http://a.example/1.png", "a cat", "en")]
    write(tmp_path / "here" / "t.csv", rows)
    write(tmp_path / "elsewhere" / "t.csv", rows)

    first, _ = harvest_of(tmp_path / "here", tmp_path / "a")
    second, _ = harvest_of(tmp_path / "elsewhere", tmp_path / "b")

    [one, two] = [
        next(f for f in result.files if f.name == "harvest.html") for result in (first, second)
    ]
    assert one.sha256 == two.sha256
    page = (tmp_path / "a" / "harvest.html").read_text()
    assert str(tmp_path) not in page
    settings = page.partition('<pre tabindex="0">')[2].partition("</pre>")[0].replace("&#34;", '"')
    assert set(json.loads(settings)) == {"source", "num_files", "detect_languages"}
