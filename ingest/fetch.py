"""The fetch stage: the images of kept candidates, in webdataset shards with an index and a ledger.

Reads candidates; writes `shard-<bucket>-<number>.tar`, its `.index.parquet` and
`ledger-<bucket>-<number>.parquet`. All of a host falls into one bucket, which one worker fetches;
a large host has several. Images that a source has already are read where they lie; those that stay
there need no tar, and the index points at them. Every candidate is a row of a ledger and ends in a
`FetchState`.

There are three Beam jobs: one counts the candidates of each host, one cuts them into files for the
workers, and one fetches. A worker needs as much memory for a large bucket or host as for a small
one.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openalign.engines.batches import Numbers, Paths, ReadTables
from openalign.engines.buckets import at_the_end
from openalign.engines.jobs import Attempt, EndedJob, Job, Jobs
from openalign.engines.parts import Part, Summary
from openalign.files import storage
from openalign.files.facts import FetchFacts
from openalign.files.manifest import StageResult
from openalign.files.removals import NO_REMOVALS, Removals, write_removals
from openalign.files.schemas import CANDIDATE
from openalign.files.states import FetchState
from openalign.ingest.fetching.bucket import FetchBucket
from openalign.ingest.fetching.ledger_files import check_part
from openalign.ingest.fetching.open_shard import ShardNote
from openalign.ingest.fetching.rounds import take_rows, taken_rows
from openalign.ingest.fetching.setup import COUNTED, CUT, FETCHED, TAKEN, FetchSetup
from openalign.ingest.fetching.supplies import require_supply
from openalign.ingest.fetching.work_files import CutIntoFiles
from openalign.ingest.fetching.work_plan import (
    NUM_CELLS,
    count_cells,
    count_keys,
    first_untried,
    plan_work,
    write_plan,
)
from openalign.ingest.web.config import WebConfig


def jobs(setup: FetchSetup, *, kept: Sequence[str], removals: Removals = NO_REMOVALS) -> Jobs:
    """Declare the jobs that fetch the images of the candidates in the Parquet files `kept`.

    What `removals` names is left out.

    Raises:
        ConfigError: the Python of img2dataset has not the release that is driven.
        InputError: the folder of a source's own images is not there.
    """
    return Jobs(jobs=_fetching(setup, lambda: kept, removals), collect=partial(_collect, kept=kept))


def retry_jobs(
    setup: FetchSetup,
    *,
    ledgers: Sequence[str],
    states: Collection[FetchState],
    removals: Removals = NO_REMOVALS,
) -> Jobs:
    """Declare the jobs of a round: they take rows in some states out of ledgers and fetch them.

    The result is that of the round: its rows, and the files that belong to it. Among them are the
    ledgers without those rows. `ledgers_taken_from` names the ledgers that they replace.

    Raises:
        ConfigError: the Python of img2dataset has not the release that is driven.
        InputError: the folder of a source's own images is not there.
    """
    take = Job(name=TAKEN, build=partial(_take, setup=setup, ledgers=ledgers, states=states))
    fetching = _fetching(setup, partial(taken_rows, setup), removals)
    return Jobs(jobs=[take, *fetching], collect=_collect_round)


def _fetching(
    setup: FetchSetup, kept: Callable[[], Sequence[str]], removals: Removals
) -> list[Job]:
    """Return the jobs that count, cut and fetch; `kept` is asked when they are built."""
    require_supply(setup)
    return [
        Job(name=COUNTED, build=partial(_count, setup=setup, kept=kept)),
        Job(
            name=CUT,
            build=partial(_cut, setup=setup, kept=kept),
            finish=lambda _: [write_removals(setup.work, removals)],
        ),
        Job(name=FETCHED, build=partial(_fetch, setup=setup)),
    ]


def _collect(_: EndedJob, __: EndedJob, ended: EndedJob, *, kept: Sequence[str]) -> StageResult:
    return _result_of(ended.summary, num_inputs=sum(_num_rows(url) for url in kept))


def _collect_round(taken: EndedJob, _: EndedJob, __: EndedJob, ended: EndedJob) -> StageResult:
    fetched = _result_of(ended.summary, num_inputs=taken.summary.counts[TAKEN])
    return replace(fetched, files=[*fetched.files, *taken.summary.files])


def _result_of(summary: Summary, *, num_inputs: int) -> StageResult:
    images: Counter[str] = Counter()
    shards = summary.notes(ShardNote)
    for shard in shards:
        images.update(shard.images)
    counts = summary.counts
    return StageResult(
        num_inputs=num_inputs,
        states={state.value: counts[state.value] for state in FetchState},
        num_outputs=counts[FetchState.FETCHED.value],
        files=summary.files,
        facts=FetchFacts(
            images=dict(sorted(images.items())),
            num_bytes=sum(shard.num_bytes for shard in shards),
            stored_bytes=sum(shard.stored_bytes for shard in shards),
        ),
    )


def _take(
    pipeline: beam.Pipeline,
    _: Attempt,
    *,
    setup: FetchSetup,
    ledgers: Sequence[str],
    states: Collection[FetchState],
) -> Any:
    take = partial(take_rows, setup=setup, states=states)
    return pipeline | Paths(ledgers) | "Take" >> beam.FlatMap(take).with_output_types(str)


# How the work is cut ------------------------------------------------------------------------------


def _count(
    pipeline: beam.Pipeline,
    attempt: Attempt,
    *,
    setup: FetchSetup,
    kept: Callable[[], Sequence[str]],
) -> Any:
    plan = partial(_write_plan, attempt=attempt, setup=setup)
    by_host = isinstance(setup.images_from, WebConfig)
    count = _CountCells(by_host=by_host, with_keys=setup.config.limit is not None)
    return (
        pipeline
        | "Images" >> ReadTables(urls=kept(), columns=["image_url"])
        | "Count" >> beam.ParDo(count)
        | "Add" >> beam.CombineGlobally(_add)
        | "Plan" >> beam.Map(plan).with_output_types(str)
    )


class _CountCells(beam.DoFn):
    """Counts the candidates of each cell, and of each stretch of keys, over all of a bundle."""

    def __init__(self, *, by_host: bool, with_keys: bool) -> None:
        self._by_host = by_host
        self._with_keys = with_keys

    def start_bundle(self) -> None:
        self._counts = _no_counts()

    def process(self, element: pa.RecordBatch) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._counts[0] += count_cells(element, by_host=self._by_host)
        if self._with_keys:
            self._counts[1] += count_keys(element)

    def finish_bundle(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        yield at_the_end(self._counts)


def _no_counts() -> Any:
    return np.zeros((2, NUM_CELLS), np.int64)


def _add(counts: Iterable[Any]) -> Any:
    return sum(counts, _no_counts())


def _write_plan(counts: Any, *, attempt: Attempt, setup: FetchSetup) -> str:
    config, images_from = setup.config, setup.images_from
    by_cell, by_key = counts
    plan = plan_work(
        by_cell,
        num_buckets=config.num_buckets,
        web=images_from if isinstance(images_from, WebConfig) else None,
        large_host=config.large_host,
        first_untried=first_untried(by_key, config.limit) if config.limit is not None else "",
    )
    attempt.require()
    write_plan(setup.plan_url, plan)
    return Part().to_json()


def _cut(
    pipeline: beam.Pipeline, _: Attempt, *, setup: FetchSetup, kept: Callable[[], Sequence[str]]
) -> Any:
    candidates = pipeline | "Candidates" >> ReadTables(urls=kept(), schema=CANDIDATE)
    return candidates | "Cut" >> CutIntoFiles(plan_url=setup.plan_url, folder=setup.work)


# The images ---------------------------------------------------------------------------------------


def _fetch(pipeline: beam.Pipeline, attempt: Attempt, *, setup: FetchSetup) -> Any:
    fetch = partial(_fetch_one, fetch_bucket=FetchBucket(setup=setup, attempt=attempt))
    check = partial(_check, output=setup.output, attempt=attempt)
    return (
        pipeline
        | "Buckets" >> Numbers(setup.config.num_buckets)
        | "Fetch" >> beam.FlatMap(fetch).with_output_types(str)
        | "Settle" >> beam.Map(_under_itself).with_output_types(tuple[str, int])
        | "Wait" >> beam.GroupByKey()
        | "Check" >> beam.MapTuple(check).with_output_types(str)
    )


def _fetch_one(bucket: int, *, fetch_bucket: FetchBucket) -> Iterator[str]:
    for part in fetch_bucket.fetch(bucket):
        yield part.to_json()


def _under_itself(line: str) -> tuple[str, int]:
    return line, 0


def _check(line: str, _: Iterable[int], output: str, attempt: Attempt) -> str:
    attempt.require()
    return check_part(line, output=output)


def _num_rows(url: str) -> int:
    with storage.open_read(url) as source:
        return int(pq.ParquetFile(source).metadata.num_rows)
