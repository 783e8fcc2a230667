"""The fetch stage: the images of kept candidates, in webdataset shards with an index and a ledger.

Reads candidates; writes `shard-<bucket>-<number>.tar`, its `.index.parquet` and
`ledger-<bucket>-<number>.parquet`. All of a host falls into one bucket, which one worker fetches.
Images that a source has already are read where they lie; those that stay there need no tar, and
the index points at them. Every candidate is a row of a ledger and ends in a `FetchState`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from openalign.engines.arrow_bytes import gathered
from openalign.engines.batches import ReadTables
from openalign.engines.buckets import Buckets, CutByBucket, hash_buckets
from openalign.engines.jobs import Attempt, EndedJob, Job, Jobs
from openalign.files import storage
from openalign.files.facts import FetchFacts
from openalign.files.manifest import StageResult
from openalign.files.schemas import CANDIDATE
from openalign.files.states import FetchState
from openalign.ingest.config import FetchConfig
from openalign.ingest.image_shards import FetchBucket, HeaderRule, ShardNote
from openalign.ingest.images_in_place import require_folder
from openalign.ingest.ledger_files import check_part
from openalign.ingest.sources.contract import OwnImages
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.urls import hosts_of


def jobs(
    config: FetchConfig,
    *,
    images_from: WebConfig | OwnImages,
    kept: Sequence[str],
    header_rule: HeaderRule | None,
    output: str,
) -> Jobs:
    """Declare the one job that fetches the images of the candidates in the Parquet files `kept`.

    Raises:
        InputError: the folder of a source's own images is not there.
    """
    buckets_of = host_buckets if isinstance(images_from, WebConfig) else image_buckets
    if isinstance(images_from, OwnImages):
        require_folder(images_from)

    def build(pipeline: beam.Pipeline, attempt: Attempt) -> Any:
        fetch_bucket = FetchBucket(
            config=config,
            images_from=images_from,
            header_rule=header_rule,
            output=output,
            attempt=attempt,
        )
        bucket_of_row = partial(buckets_of, num_buckets=config.num_buckets)
        check = partial(_check, output=output, attempt=attempt)
        return (
            pipeline
            | "Candidates" >> ReadTables(urls=kept, schema=CANDIDATE)
            | "Cut" >> CutByBucket(config.num_buckets, bucket_of_row)
            | "Own" >> beam.GroupByKey()
            | "Fetch" >> beam.FlatMap(_fetch, fetch_bucket=fetch_bucket).with_output_types(str)
            | "Settle" >> beam.Map(_under_itself).with_output_types(tuple[str, int])
            | "Wait" >> beam.GroupByKey()
            | "Check" >> beam.MapTuple(check).with_output_types(str)
        )

    return Jobs(jobs=[Job(name="fetched", build=build)], collect=partial(_collect, kept=kept))


def _collect(ended: EndedJob, *, kept: Sequence[str]) -> StageResult:
    images: Counter[str] = Counter()
    shards = ended.summary.notes(ShardNote)
    for shard in shards:
        images.update(shard.images)
    counts = ended.summary.counts
    return StageResult(
        num_inputs=sum(_num_rows(url) for url in kept),
        states={state.value: counts[state.value] for state in FetchState},
        num_outputs=counts[FetchState.FETCHED.value],
        files=ended.summary.files,
        facts=FetchFacts(
            images=dict(sorted(images.items())),
            num_bytes=sum(shard.num_bytes for shard in shards),
            stored_bytes=sum(shard.stored_bytes for shard in shards),
        ),
    )


def host_buckets(batch: pa.RecordBatch, *, num_buckets: int) -> Buckets:
    """Return the bucket of each row: all images of a host are in one."""
    hosts = hosts_of(pl.Series(batch.column("image_url")))
    named = pa.RecordBatch.from_pydict({"host": hosts.to_arrow()})
    return hash_buckets(named, by="host", num_buckets=num_buckets)


def image_buckets(batch: pa.RecordBatch, *, num_buckets: int) -> Buckets:
    """Return the bucket of each row: where no host is asked, none needs one worker alone."""
    return hash_buckets(batch, by="image_url", num_buckets=num_buckets)


def _fetch(owned: tuple[int, Iterable[bytes]], *, fetch_bucket: FetchBucket) -> Iterator[str]:
    bucket, pieces = owned
    candidates = gathered(pieces)
    for part in fetch_bucket.fetch(bucket, candidates):
        yield part.to_json()


def _under_itself(line: str) -> tuple[str, int]:
    return line, 0


def _check(line: str, _: Iterable[int], output: str, attempt: Attempt) -> str:
    attempt.require()
    return check_part(line, output=output)


def _num_rows(url: str) -> int:
    with storage.open_read(url) as source:
        return int(pq.ParquetFile(source).metadata.num_rows)
