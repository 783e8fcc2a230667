"""The fetch stage: the images of kept candidates, in webdataset shards with an index and a ledger.

Reads candidates; writes `shard-<bucket>-<number>.tar`, its `.index.parquet` and
`ledger-<bucket>-<number>.parquet`. All of a host falls into one bucket, which one worker fetches;
a large host has several. Images that a source has already are read where they lie; those that stay
there need no tar, and the index points at them. Every candidate is a row of a ledger and ends in a
`FetchState`.

There are four Beam jobs: one counts the candidates of each host, one cuts them into files for the
workers, one fetches, and one tallies the ledgers for `fetch.html`. A worker needs as much memory
for a large bucket or host as for a small one.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from openalign.engines.batches import Numbers, Paths, ReadTables
from openalign.engines.buckets import at_the_end
from openalign.engines.jobs import Attempt, EndedJob, Job, Jobs
from openalign.engines.parts import Part, Summary
from openalign.files import storage
from openalign.files.facts import FetchFacts
from openalign.files.manifest import DataFile, StageResult
from openalign.files.removals import NO_REMOVALS, Removals, write_removals
from openalign.files.schemas import CANDIDATE
from openalign.files.states import FetchState
from openalign.files.tables import num_rows_of
from openalign.ingest.fetching.bucket import FetchBucket
from openalign.ingest.fetching.ledger_files import check_part
from openalign.ingest.fetching.ledger_tallies import TallyLedgers, tallies_of
from openalign.ingest.fetching.open_shard import ShardNote
from openalign.ingest.fetching.page_file import write_page
from openalign.ingest.fetching.rounds import all_ledgers, take_rows, taken_rows
from openalign.ingest.fetching.setup import COUNTED, CUT, FETCHED, TAKEN, TALLIED, FetchSetup
from openalign.ingest.fetching.slow_hosts import lines_about, rows_in_an_hour, slow_hosts
from openalign.ingest.fetching.supplies import require_supply
from openalign.ingest.fetching.work_files import CutIntoFiles
from openalign.ingest.fetching.work_plan import (
    NUM_CELLS,
    count_cells,
    count_keys,
    first_untried,
    plan_work,
    read_plan,
    write_plan,
)
from openalign.ingest.web.config import WebConfig
from openalign.telemetry import say

_COUNTS_SHAPE = (2, NUM_CELLS)
_CODEC = "lz4"


def jobs(setup: FetchSetup, *, kept: Sequence[str], removals: Removals = NO_REMOVALS) -> Jobs:
    """Declare the jobs that fetch the images of the candidates in the Parquet files `kept`.

    What `removals` names is left out.

    Raises:
        ConfigError: the Python of img2dataset has not the release that is driven.
        InputError: the folder of a source's own images is not there.
    """
    tally = Job(name=TALLIED, build=partial(_tally, setup=setup, before=()))
    return Jobs(
        jobs=[*_fetching(setup, lambda: kept, removals), tally],
        collect=partial(_collect, setup=setup, kept=kept),
    )


def retry_jobs(
    setup: FetchSetup,
    *,
    ledgers: Sequence[str],
    states: Collection[FetchState],
    removals: Removals = NO_REMOVALS,
) -> Jobs:
    """Declare the jobs of a round: they take rows in some states out of ledgers and fetch them.

    The result is that of the round: its rows, and the files that belong to it. Among them are the
    ledgers without those rows. `ledgers_taken_from` names the ledgers that they replace. Its
    tallies alone are those of the whole fetch.

    Raises:
        ConfigError: the Python of img2dataset has not the release that is driven.
        InputError: the folder of a source's own images is not there.
    """
    take = Job(name=TAKEN, build=partial(_take, setup=setup, ledgers=ledgers, states=states))
    fetching = _fetching(setup, partial(taken_rows, setup), removals)
    tally = Job(name=TALLIED, build=partial(_tally, setup=setup, before=ledgers))
    return Jobs(jobs=[take, *fetching, tally], collect=_collect_round)


def _fetching(
    setup: FetchSetup, kept: Callable[[], Sequence[str]], removals: Removals
) -> list[Job]:
    """Return the jobs that count, cut and fetch; `kept` is asked when they are built."""
    require_supply(setup)
    fetch = Job(name=FETCHED, build=partial(_fetch, setup=setup))
    return [*cutting_jobs(setup, kept, removals), fetch]


def cutting_jobs(
    setup: FetchSetup, kept: Callable[[], Sequence[str]], removals: Removals
) -> list[Job]:
    """Return the two jobs that count candidates and cut them for the workers."""
    return [
        Job(
            name=COUNTED,
            build=partial(_count, setup=setup, kept=kept),
            told=f"{setup.config.limit} {removals.fingerprint}",
            finish=partial(_note_removals, setup=setup, removals=removals),
        ),
        Job(
            name=CUT,
            build=partial(_cut, setup=setup, kept=kept),
            finish=partial(_say_slow_hosts, setup=setup),
        ),
    ]


def _note_removals(_: Summary, *, setup: FetchSetup, removals: Removals) -> list[DataFile]:
    """Write down what workers must leave out."""
    return [write_removals(setup.work, removals)]


def _say_slow_hosts(cut: Summary, *, setup: FetchSetup) -> list[DataFile]:
    """Say which hosts take hours."""
    if isinstance(setup.images_from, WebConfig):
        for line in lines_about(slow_hosts(cut, setup.images_from)):
            say(f"fetch      {line}")
    return []


def _collect(
    _: EndedJob,
    __: EndedJob,
    fetched: EndedJob,
    tallied: EndedJob,
    *,
    setup: FetchSetup,
    kept: Sequence[str],
) -> StageResult:
    facts = _facts_of(fetched.summary, tallied.summary)
    result = _result_of(fetched.summary, facts, num_inputs=sum(map(num_rows_of, kept)))
    page = write_page(setup, states=result.states, facts=facts)
    return replace(result, files=[*result.files, page])


def _collect_round(
    taken: EndedJob, _: EndedJob, __: EndedJob, fetched: EndedJob, tallied: EndedJob
) -> StageResult:
    facts = _facts_of(fetched.summary, tallied.summary)
    result = _result_of(fetched.summary, facts, num_inputs=taken.summary.counts[TAKEN])
    return replace(result, files=[*result.files, *taken.summary.files])


def _facts_of(fetched: Summary, tallied: Summary) -> FetchFacts:
    images: Counter[str] = Counter()
    shards = fetched.notes(ShardNote)
    for shard in shards:
        images.update(shard.images)
    return FetchFacts(
        images=dict(sorted(images.items())),
        num_bytes=sum(shard.num_bytes for shard in shards),
        stored_bytes=sum(shard.stored_bytes for shard in shards),
        tallies=tallies_of(tallied),
    )


def _result_of(summary: Summary, facts: FetchFacts, *, num_inputs: int) -> StageResult:
    counts = summary.counts
    return StageResult(
        num_inputs=num_inputs,
        states={state.value: counts[state.value] for state in FetchState},
        num_outputs=counts[FetchState.FETCHED.value],
        files=summary.files,
        facts=facts,
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
    with_keys = setup.config.limit is not None
    count: Any = beam.ParDo(_CountCells(by_host=by_host, with_keys=with_keys))
    return (
        pipeline
        | "Images" >> ReadTables(urls=kept(), columns=["image_url"])
        | "Count" >> count.with_output_types(tuple[int, bytes])
        | "Gather" >> beam.GroupByKey()
        | "Plan" >> beam.MapTuple(plan).with_output_types(str)
    )


class _CountCells(beam.DoFn):
    """Counts the candidates of each cell, and of each stretch of keys, over all of a bundle."""

    def __init__(self, *, by_host: bool, with_keys: bool) -> None:
        self._by_host = by_host
        self._with_keys = with_keys

    def start_bundle(self) -> None:
        self._counts = np.zeros(_COUNTS_SHAPE, np.int64)

    def process(self, element: pa.RecordBatch) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._counts[0] += count_cells(element, by_host=self._by_host)
        if self._with_keys:
            self._counts[1] += count_keys(element)

    def finish_bundle(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # Most cells are empty.
        packed = pa.compress(self._counts.tobytes(), codec=_CODEC, asbytes=True)
        yield at_the_end((0, packed))


def _added(pieces: Iterable[bytes]) -> Any:
    """Return the sum of what bundles counted."""
    counts = np.zeros(_COUNTS_SHAPE, np.int64)
    for packed in pieces:
        piece = pa.decompress(packed, counts.nbytes, codec=_CODEC, asbytes=True)
        counts += np.frombuffer(piece, np.int64).reshape(_COUNTS_SHAPE)
    return counts


def _write_plan(_: int, pieces: Iterable[bytes], *, attempt: Attempt, setup: FetchSetup) -> str:
    config, images_from = setup.config, setup.images_from
    by_cell, by_key = _added(pieces)
    web = images_from if isinstance(images_from, WebConfig) else None
    first, num_tried = "", int(by_cell.sum())
    if config.limit is not None:
        first, num_tried = first_untried(by_key, config.limit)
    plan = plan_work(
        by_cell,
        num_buckets=config.num_buckets,
        web=web,
        large_host=config.large_host,
        first_untried=first,
        num_tried=num_tried,
        slow_host=rows_in_an_hour(web) if web is not None else None,
    )
    attempt.require()
    if storage.exists(setup.work_summary):  # an earlier command was told another limit
        plan = plan.cut_like(read_plan(setup.plan_url))
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


def _tally(pipeline: beam.Pipeline, _: Attempt, *, setup: FetchSetup, before: Sequence[str]) -> Any:
    ledgers = Paths(all_ledgers(setup, before=before))
    return pipeline | ledgers | TallyLedgers(num_buckets=setup.config.num_buckets)
