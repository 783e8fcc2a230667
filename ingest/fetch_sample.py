"""A sample of the images that a fetch would bring in: what they cost, measured here.

Images are sampled by key. They are fetched as `fetch` does it, by this process alone, into a folder
that is thrown away.
"""

import io
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import msgspec
import polars as pl
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from openalign.engines.batches import ReadTables, SortIntoFiles
from openalign.engines.buckets import at_the_end
from openalign.engines.jobs import Attempt, EndedJob, Job, Jobs, run_jobs
from openalign.engines.parts import Summary
from openalign.engines.tallies import HeldTallies
from openalign.errors import StageError
from openalign.files import storage
from openalign.files.manifest import StageResult
from openalign.files.names import LEDGERS, index_name, shard_of_ledger
from openalign.files.removals import Removals
from openalign.files.schemas import CANDIDATE
from openalign.files.tables import num_rows_of, read_table
from openalign.ingest.fetch import cutting_jobs
from openalign.ingest.fetching.bucket import FetchBucket
from openalign.ingest.fetching.open_shard import ShardNote
from openalign.ingest.fetching.setup import FetchSetup
from openalign.ingest.fetching.slow_hosts import (
    HOSTS,
    TALLIES,
    SlowHost,
    count_hosts,
    merged_hosts,
    slow_hosts,
)
from openalign.ingest.fetching.work_plan import read_plan, with_image_keys
from openalign.ingest.web.config import WebConfig

NUM_PARTS = 10
"""Parts of the sample whose CPU time is measured one by one."""

_SAMPLE = "sample-"
_TAR_BLOCK = 512


class MeasuredPart(NamedTuple):
    """What a part of a sample took."""

    num_images: int
    num_candidates: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedSample:
    """What a sample of images gave and took."""

    num_candidates: int
    """Of all images."""

    num_sampled: int
    """Candidates of the images that were sampled."""

    images: pl.DataFrame
    """A row for each: `state`, `num_candidates`, and `num_bytes` and `stored_bytes`, which are 0 of
    one that was not fetched."""

    parts: Sequence["MeasuredPart"]
    """The parts of the sample."""

    slow_hosts: Sequence[SlowHost]
    """Of all candidates."""


def fetch_sample(
    setup: FetchSetup, *, kept: Sequence[str], removals: Removals, num_candidates: int
) -> FetchedSample:
    """Fetch about so many candidates, and no more, of those in the Parquet files `kept`.

    Files are made in the setup's folders.

    Raises:
        StageError: there is nothing in a sample of this size, or the network is out of order.
    """
    sampling = replace(
        setup,
        config=replace(setup.config, limit=num_candidates, max_total_bytes=None),
        work=storage.join(setup.work, "sampling"),
    )
    [count, _] = cutting_jobs(sampling, lambda: kept, removals)
    sample = Job(name="sampled", build=partial(_sample, setup=sampling, kept=kept))
    found: list[Summary] = []
    _run(sampling, [count, sample], found)
    if not found[0].files:
        raise StageError("no image is in the sample", hint="name a larger one: --sample 1000")
    [file] = found[0].files
    sampled = storage.join(sampling.output, file.name)
    num_images = pl.DataFrame(read_table(sampled, ["image_url"])).n_unique()
    fetching = replace(
        setup,
        config=replace(
            setup.config,
            num_buckets=1,
            images_per_shard=math.ceil(num_images / NUM_PARTS),
            limit=None,
            max_total_bytes=None,
        ),
    )
    _run(fetching, cutting_jobs(fetching, lambda: [sampled], removals), [])
    images_from = setup.images_from
    return FetchedSample(
        num_candidates=sum(map(num_rows_of, kept)),
        num_sampled=file.num_rows,
        parts=list(_measured_parts(fetching)),
        images=_images(fetching.output),
        slow_hosts=slow_hosts(found[0], images_from) if isinstance(images_from, WebConfig) else [],
    )


def _run(setup: FetchSetup, jobs: Sequence[Job], found: list[Summary]) -> None:
    """Run jobs; add the summary of the last one to `found`."""

    def collect(*ended: EndedJob) -> StageResult:
        found.append(ended[-1].summary)
        return StageResult(num_inputs=0, states={}, num_outputs=0, files=[])

    run_jobs(Jobs(jobs=jobs, collect=collect), work=setup.work)


def _sample(pipeline: beam.Pipeline, _: Attempt, *, setup: FetchSetup, kept: Sequence[str]) -> Any:
    sample: Any = beam.ParDo(_MeasureSample(setup.plan_url))
    types = sample.with_output_types(pa.RecordBatch, hosts=tuple[str, bytes])
    found: Any = (
        pipeline
        | ReadTables(urls=kept, schema=CANDIDATE)
        | "Sample" >> types.with_outputs("hosts", main="rows")
    )
    files = SortIntoFiles(folder=setup.output, table=_SAMPLE, schema=CANDIDATE, num_files=1)
    return (
        found["rows"] | "File" >> files,
        found["hosts"] | "SlowHosts" >> merged_hosts(),
    ) | beam.Flatten()


class _MeasureSample(beam.DoFn):
    """Takes the rows of the first images by key, and counts those of slow hosts over all rows."""

    def __init__(self, plan_url: str) -> None:
        self._plan_url = plan_url

    def start_bundle(self) -> None:
        plan = read_plan(self._plan_url)
        self._first_untried = plan.first_untried
        self._whole = msgspec.structs.replace(plan, first_untried="")
        self._hosts = HeldTallies(TALLIES, num_buckets=1)

    def process(self, element: pa.RecordBatch) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows = with_image_keys(element)
        hosts = self._whole.slow_hosts_of(rows)
        if len(hosts):
            for piece in self._hosts.add(HOSTS, count_hosts(hosts)):
                yield TaggedOutput("hosts", piece)
        if self._first_untried:
            rows = rows.filter(pl.col("image_key") < self._first_untried)
        if rows.height:
            yield from rows.select(CANDIDATE.names).to_arrow().cast(CANDIDATE).to_batches()

    def finish_bundle(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        for piece in self._hosts.flush():
            yield TaggedOutput("hosts", at_the_end(piece))


def _measured_parts(setup: FetchSetup) -> Iterator[MeasuredPart]:
    """Fetch the sample, and measure each part of it."""
    attempt = Attempt(storage.join(setup.work, "measuring"))
    storage.write_text(attempt.url, "")
    started = time.process_time()
    for part in FetchBucket(setup=setup, attempt=attempt).fetch(0):
        now = time.process_time()
        [note] = part.notes
        assert isinstance(note, ShardNote)
        yield MeasuredPart(sum(note.images.values()), sum(part.counts.values()), now - started)
        started = now


def _images(folder: str) -> pl.DataFrame:
    """Return the images of all ledgers, with the bytes that each takes in its tar."""
    frames: list[pl.DataFrame] = []
    for name in storage.list_files(folder):
        if not name.startswith(LEDGERS):
            continue
        ledger = pl.DataFrame(read_table(storage.join(folder, name)))
        stored = pl.DataFrame(schema={"image_key": pl.String, "stored_bytes": pl.Int64})
        index_url = storage.join(folder, index_name(shard_of_ledger(name)))
        is_in_tar = storage.exists(storage.join(folder, shard_of_ledger(name)))
        if is_in_tar:
            index = pl.read_parquet(io.BytesIO(storage.read_bytes(index_url)))
            padded = (pl.col("length") + _TAR_BLOCK - 1) // _TAR_BLOCK * _TAR_BLOCK
            stored = index.group_by(image_key="key").agg(stored_bytes=(padded + _TAR_BLOCK).sum())
        images = ledger.group_by("image_key", maintain_order=True).agg(
            pl.first("state"), pl.first("num_bytes").fill_null(0), num_candidates=pl.len()
        )
        joined = images.join(stored, on="image_key", how="left", maintain_order="left")
        frames.append(joined.with_columns(pl.col("stored_bytes").fill_null(0)))
    return pl.concat(frames)
