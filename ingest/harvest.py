"""The harvest stage: a source's candidates, each once, in sorted files.

The source named by `harvest.source` hands over pieces. Harvest writes their
candidates to `candidates-*.parquet` and their pages, where there are some, to `pages-*.parquet`.
A pair that is found ends in a `HarvestState`; only `kept` ones are written. A file that is damaged
does not end the job: the manifest names it. `harvest.html` shows people what came of it.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import apache_beam as beam
import polars as pl
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from openalign.engines.batches import FileTallies, SortIntoFiles
from openalign.engines.jobs import Attempt, EndedJob, Job, Jobs
from openalign.engines.live_counts import add_live
from openalign.engines.parts import Note, Part
from openalign.engines.tallies import MAX_TALLY_BUCKETS
from openalign.files import storage
from openalign.files.facts import DamagedFile
from openalign.files.manifest import DataFile, StageResult
from openalign.files.names import CANDIDATES, HARVEST_PAGE, PAGES
from openalign.files.schemas import CANDIDATE, PAGE
from openalign.files.states import HarvestState
from openalign.ingest.candidates import FOUND, SURVIVOR_ORDER, Harvested, collapse_duplicates
from openalign.ingest.config import HarvestConfig, settings_of_result
from openalign.ingest.harvest_tallies import (
    facts_of,
    merged_tallies,
    tally_candidates,
    tally_source,
)
from openalign.ingest.sources.contract import ReadingSetup
from openalign.ingest.sources.kinds import kind_asking
from openalign.ingest.text_language import require_detector, with_languages
from openalign.ingest.web.config import WebConfig

_PAGES_BY_STATE = "pages/"
"""Prefix of the counts of pages by state."""

_BAD_RECORDS = "bad_records/"
"""Prefix of the counts of bad records by fault."""


class DamagedNote(Note, frozen=True, kw_only=True):
    """A file that could not be read, or not to its end."""

    file: DamagedFile


def jobs(config: HarvestConfig, *, web: WebConfig, output: str, work: str) -> Jobs:
    """Declare the one job of a harvest; `web` is how a source that asks the web does so.

    Raises:
        InputError: the source cannot be read; found before anything starts.
        MissingExtraError: languages are to be detected, and the detector is not installed.
    """
    kind = kind_asking(config.source, web)
    kind.check(config.source)
    if config.detect_languages:
        require_detector()

    def build(pipeline: beam.Pipeline, attempt: Attempt) -> Any:
        setup = ReadingSetup(web=web, texts=config.texts, work=work, attempt=attempt)
        reading = kind.reading(config.source, setup)
        split: Any = beam.FlatMap(
            _split, num_buckets=_tally_buckets(config), work=work
        ).with_output_types(
            Any,
            candidates=pa.RecordBatch,
            pages=pa.RecordBatch,
            counts=str,
            sources=tuple[str, bytes],
        )
        found: Any = (
            pipeline
            | "Source" >> reading
            | "Split" >> split.with_outputs("candidates", "pages", "counts", "sources")
        )
        written = (
            found["candidates"] | "Candidates" >> _candidate_files(config, output),
            found["pages"] | "Pages" >> _page_files(config, output),
            found["counts"],
            found["sources"] | "Sources" >> merged_tallies(),
        )
        return written | beam.Flatten()

    return Jobs(
        jobs=[Job(name="harvested", build=build)],
        collect=partial(_collect, config=config, output=output),
    )


def _split(piece: Harvested, *, num_buckets: int, work: str) -> Iterator[Any]:
    """Send a piece's candidates, pages and counts to where each is collected."""
    add_live(work, {"pages": len(piece.pages), "pairs": piece.counts[FOUND]})
    if piece.candidates.num_rows:
        yield TaggedOutput("candidates", piece.candidates)
    if piece.pages:
        yield TaggedOutput("pages", pa.RecordBatch.from_pylist(piece.pages, schema=PAGE))
    counts = Counter(piece.counts)
    counts.update(_PAGES_BY_STATE + page["state"] for page in piece.pages)
    counts.update({_BAD_RECORDS + fault: n for fault, n in piece.bad_records.items()})
    notes = [DamagedNote(file=file) for file in piece.damaged_files]
    yield TaggedOutput("counts", Part(counts=dict(counts), notes=notes).to_json())
    for tallied in tally_source(piece, num_buckets=num_buckets):
        yield TaggedOutput("sources", tallied)


def _candidate_files(config: HarvestConfig, output: str) -> SortIntoFiles:
    return SortIntoFiles(
        folder=output,
        table=CANDIDATES,
        schema=CANDIDATE,
        num_files=config.num_files,
        sort_by=SURVIVOR_ORDER,
        finish=_finish_with_languages if config.detect_languages else collapse_duplicates,
        tallies=FileTallies(
            of=partial(
                tally_candidates,
                num_buckets=_tally_buckets(config),
                has_text_languages=config.detect_languages,
            ),
            merge=merged_tallies(),
        ),
    )


def _tally_buckets(config: HarvestConfig) -> int:
    """Return into how many parts tallies are cut: each file has a piece for each of them."""
    return min(config.num_files, MAX_TALLY_BUCKETS)


def _finish_with_languages(rows: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    kept, counts = collapse_duplicates(rows)
    return with_languages(kept), counts


def _page_files(config: HarvestConfig, output: str) -> SortIntoFiles:
    return SortIntoFiles(
        folder=output,
        table=PAGES,
        schema=PAGE,
        num_files=config.num_files,
        by="page_url",
        sort_by=("page_url",),
    )


def _collect(ended: EndedJob, *, config: HarvestConfig, output: str) -> StageResult:
    from openalign.pages.harvest_page import render

    counts = ended.summary.counts
    facts = facts_of(
        ended.summary,
        pages=_with_prefix(counts, _PAGES_BY_STATE),
        bad_records=_with_prefix(counts, _BAD_RECORDS),
    )
    states = {state.value: counts[state.value] for state in HarvestState}
    damaged_files = sorted(note.file for note in ended.summary.notes(DamagedNote))
    page = render(
        facts,
        states=states,
        num_found=counts[FOUND],
        damaged_files=damaged_files,
        settings=settings_of_result(config),
    )
    written = storage.write_text(storage.join(output, HARVEST_PAGE), page)
    return StageResult(
        num_inputs=counts[FOUND],
        states=states,
        num_outputs=counts[HarvestState.KEPT.value],
        files=[*ended.summary.files, DataFile.of(HARVEST_PAGE, written, num_rows=1)],
        facts=facts,
        damaged_files=damaged_files,
    )


def _with_prefix(counts: Counter[str], prefix: str) -> dict[str, int]:
    return {
        name.removeprefix(prefix): number
        for name, number in sorted(counts.items())
        if name.startswith(prefix)
    }
