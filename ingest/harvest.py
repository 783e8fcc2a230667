"""The harvest stage: a source's candidates, the same one found twice collapsed, in sorted files.

Reads what `harvest.source` names; writes `candidates-*.parquet`, for a crawl also
`pages-*.parquet`. A pair that is found ends in a `HarvestState`; only `kept` ones are written.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from openalign.engines.batches import Paths, SortIntoFiles
from openalign.engines.jobs import Attempt, Ended, Job, Jobs
from openalign.engines.parts import Part
from openalign.files.facts import HarvestFacts
from openalign.files.manifest import StageResult
from openalign.files.names import CANDIDATES, PAGES
from openalign.files.schemas import CANDIDATE, PAGE
from openalign.files.states import HarvestState
from openalign.ingest.candidates import FOUND, SURVIVOR_ORDER, Harvested, collapse_duplicates
from openalign.ingest.config import HarvestConfig, SiteSource, TableSource
from openalign.ingest.sources import crawl, table
from openalign.ingest.web.config import WebConfig


def jobs(config: HarvestConfig, *, web: WebConfig | None, output: str, work: str) -> Jobs:
    """Declare the one job of a harvest; `web` is how a source that asks the web does so.

    Raises:
        InputError: a table cannot be read or lacks a column; found before anything starts.
    """
    urls = table.table_urls(config.source) if isinstance(config.source, TableSource) else []

    def build(pipeline: beam.Pipeline, _: Attempt) -> Any:
        found = _found(pipeline, config, web=web, urls=urls, work=work)
        written = (
            found["candidates"] | "Candidates" >> _candidate_files(config, output),
            found["pages"] | "Pages" >> _page_files(config, output),
            found["counts"],
        )
        return written | beam.Flatten()

    return Jobs(jobs=[Job(name="harvested", build=build)], collect=_collect)


def _collect(ended: Ended) -> StageResult:
    counts = ended.summary.counts
    return StageResult(
        num_inputs=counts[FOUND],
        states={state.value: counts[state.value] for state in HarvestState},
        num_outputs=counts[HarvestState.KEPT.value],
        files=ended.summary.files,
        facts=HarvestFacts(pages=_pages_by_state(counts)),
    )


def _found(
    pipeline: beam.Pipeline,
    config: HarvestConfig,
    *,
    web: WebConfig | None,
    urls: Sequence[str],
    work: str,
) -> Any:
    if isinstance(config.source, SiteSource):
        pieces: Any = (
            pipeline
            | "Seeds" >> beam.Create(crawl.seeds_by_host(config.source), reshuffle=False)
            | "Own" >> beam.GroupByKey()
            | "Crawl" >> beam.FlatMap(_crawl, source=config.source, web=web, work=work)
        )
    else:
        pieces = (
            pipeline
            | Paths(urls)
            | "Read" >> beam.FlatMap(table.read_candidates, source=config.source)
        )
    sort: Any = beam.FlatMap(_by_kind).with_output_types(
        Any, candidates=pa.RecordBatch, pages=pa.RecordBatch, counts=str
    )
    return pieces | "Sort" >> sort.with_outputs("candidates", "pages", "counts")


def _crawl(
    owned: tuple[str, Iterable[str]], *, source: SiteSource, web: WebConfig, work: str
) -> Iterator[Harvested]:
    host, seeds = owned
    return crawl.crawl_host(host, list(seeds), source=source, web=web, work=work)


def _by_kind(piece: Harvested) -> Iterator[Any]:
    if piece.candidates.num_rows:
        yield TaggedOutput("candidates", piece.candidates)
    if piece.pages:
        yield TaggedOutput("pages", pa.RecordBatch.from_pylist(piece.pages, schema=PAGE))
    yield TaggedOutput("counts", Part(counts=dict(piece.counts)).to_json())


def _candidate_files(config: HarvestConfig, output: str) -> SortIntoFiles:
    return SortIntoFiles(
        folder=output,
        table=CANDIDATES,
        schema=CANDIDATE,
        num_files=config.num_files,
        sort_by=SURVIVOR_ORDER,
        finish=collapse_duplicates,
    )


def _page_files(config: HarvestConfig, output: str) -> SortIntoFiles:
    return SortIntoFiles(
        folder=output,
        table=PAGES,
        schema=PAGE,
        num_files=config.num_files,
        by="page_url",
        sort_by=("page_url",),
    )


def _pages_by_state(counts: Counter[str]) -> dict[str, int]:
    return {
        name.removeprefix(crawl.PAGES): number
        for name, number in sorted(counts.items())
        if name.startswith(crawl.PAGES)
    }
