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

from openalign.engines.batches import Part, Paths, SortIntoFiles, WriteSummary, run_to_summary
from openalign.files import storage
from openalign.files.manifest import StageResult
from openalign.files.schemas import CANDIDATE, PAGE, HarvestState
from openalign.ingest.candidates import FOUND, SURVIVOR_ORDER, Harvested, collapse_duplicates
from openalign.ingest.config import DownloadConfig, HarvestConfig, SiteSource, TableSource
from openalign.ingest.sources import crawl as site
from openalign.ingest.sources import table


def run(
    config: HarvestConfig, *, output: str, work: str, beam_options: Sequence[str]
) -> StageResult | None:
    """Harvest a source; None after a dry run.

    Raises:
        InputError: a table cannot be read or lacks a column; found before anything starts.
    """
    urls = table.table_urls(config.source) if isinstance(config.source, TableSource) else []
    summary_url = storage.join(work, "summary.jsonl")

    def build(pipeline: beam.Pipeline) -> None:
        found = _found(pipeline, config, urls=urls, work=work)
        written = (
            found["candidates"] | "Candidates" >> _candidate_files(config, output),
            found["pages"] | "Pages" >> _page_files(config, output),
            found["counts"],
        )
        _ = written | beam.Flatten() | "Summary" >> WriteSummary(summary_url)

    summary = run_to_summary(build, summary_url, beam_options)
    if summary is None:
        return None
    counts = summary.counts
    return StageResult(
        num_inputs=counts[FOUND],
        states={state.value: counts[state.value] for state in HarvestState},
        num_outputs=counts[HarvestState.KEPT.value],
        files=summary.files,
        facts=_facts(counts),
    )


def _found(
    pipeline: beam.Pipeline, config: HarvestConfig, *, urls: Sequence[str], work: str
) -> Any:
    if isinstance(config.source, SiteSource):
        pieces: Any = (
            pipeline
            | "Seeds" >> beam.Create(site.seeds_by_host(config.source), reshuffle=False)
            | "Own" >> beam.GroupByKey()
            | "Crawl"
            >> beam.FlatMap(_crawl, source=config.source, download=config.download, work=work)
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
    owned: tuple[str, Iterable[str]], *, source: SiteSource, download: DownloadConfig, work: str
) -> Iterator[Harvested]:
    host, seeds = owned
    return site.crawl_host(host, list(seeds), source=source, download=download, work=work)


def _by_kind(piece: Harvested) -> Iterator[Any]:
    if piece.candidates.num_rows:
        yield TaggedOutput("candidates", piece.candidates)
    if piece.pages:
        yield TaggedOutput("pages", pa.RecordBatch.from_pylist(piece.pages, schema=PAGE))
    yield TaggedOutput("counts", Part(counts=dict(piece.counts)).to_json())


def _candidate_files(config: HarvestConfig, output: str) -> SortIntoFiles:
    return SortIntoFiles(
        folder=output,
        name="candidates",
        schema=CANDIDATE,
        num_files=config.num_files,
        sort_by=SURVIVOR_ORDER,
        finish=collapse_duplicates,
    )


def _page_files(config: HarvestConfig, output: str) -> SortIntoFiles:
    return SortIntoFiles(
        folder=output,
        name="pages",
        schema=PAGE,
        num_files=config.num_files,
        by="page_url",
        sort_by=("page_url",),
    )


def _facts(counts: Counter[str]) -> dict[str, Any]:
    pages = {
        name.removeprefix(site.PAGES): number
        for name, number in sorted(counts.items())
        if name.startswith(site.PAGES)
    }
    return {"pages": pages} if pages else {}
