"""The fetch stage: the images of kept candidates, in webdataset shards with an index and a ledger.

Reads candidates; writes `shard-<bucket>-<number>.tar`, its `.index.parquet` and
`ledger-<bucket>-<number>.parquet`. All of a host falls into one bucket, which one worker fetches.
Every candidate is a row of a ledger and ends in a `FetchState`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from openalign.engines.batches import ReadTables, WriteSummary, from_ipc, run_to_summary, to_pieces
from openalign.files import storage
from openalign.files.hashing import bucket_of
from openalign.files.manifest import StageResult
from openalign.files.schemas import CANDIDATE, FetchState
from openalign.ingest.config import FetchConfig
from openalign.ingest.image_shards import FetchBucket, HeaderRule, check_part
from openalign.ingest.web.urls import host_of


def run(
    config: FetchConfig,
    *,
    kept: Sequence[str],
    header_rule: HeaderRule | None,
    output: str,
    work: str,
    beam_options: Sequence[str],
) -> StageResult | None:
    """Fetch the images of the candidates in the Parquet files `kept`; None after a dry run."""
    summary_url = storage.join(work, "summary.jsonl")
    fetch_bucket = FetchBucket(config=config, header_rule=header_rule, output=output)

    def build(pipeline: beam.Pipeline) -> None:
        parts = (
            pipeline
            | "Candidates" >> ReadTables(urls=kept, columns=CANDIDATE.names)
            | "Cut" >> _cut(config.num_buckets)
            | "Own" >> beam.GroupByKey()
            | "Fetch" >> beam.FlatMap(_fetch, fetch_bucket=fetch_bucket).with_output_types(str)
            | "Settle" >> beam.Map(_under_itself).with_output_types(tuple[str, int])
            | "Wait" >> beam.GroupByKey()
            | "Check" >> beam.MapTuple(partial(_check, output=output)).with_output_types(str)
        )
        _ = parts | "Summary" >> WriteSummary(summary_url)

    summary = run_to_summary(build, summary_url, beam_options)
    if summary is None:
        return None
    return StageResult(
        num_inputs=sum(_num_rows(url) for url in kept),
        states={state.value: summary.counts[state.value] for state in FetchState},
        num_outputs=summary.counts[FetchState.FETCHED.value],
        files=summary.files,
        facts=_facts(summary.facts),
    )


def cut_by_host(batch: pa.RecordBatch, *, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    """Cut a batch into pieces of one bucket of hosts each."""
    rows = pl.DataFrame(batch)
    buckets = pl.Series(
        [bucket_of(host_of(url), num_buckets) for url in rows["image_url"]], dtype=pl.Int64
    )
    for bucket in buckets.unique().sort():
        yield from ((bucket, piece) for piece in to_pieces(rows.filter(buckets == bucket)))


def _cut(num_buckets: int) -> Any:
    return beam.FlatMap(cut_by_host, num_buckets=num_buckets).with_output_types(tuple[int, bytes])


def _fetch(owned: tuple[int, Iterable[bytes]], *, fetch_bucket: FetchBucket) -> Iterator[str]:
    bucket, pieces = owned
    candidates = pl.concat([pl.DataFrame(from_ipc(piece)) for piece in pieces])
    for part in fetch_bucket.fetch(bucket, candidates):
        yield part.to_json()


def _under_itself(line: str) -> tuple[str, int]:
    return line, 0


def _check(line: str, _: Iterable[int], output: str) -> str:
    return check_part(line, output=output)


def _num_rows(url: str) -> int:
    with storage.open_read(url) as source:
        return int(pq.ParquetFile(source).metadata.num_rows)


def _facts(shards: Sequence[dict[str, Any]]) -> dict[str, Any]:
    images: Counter[str] = Counter()
    for shard in shards:
        images.update(shard["images"])
    return {
        "images": dict(sorted(images.items())),
        "num_bytes": sum(shard["num_bytes"] for shard in shards),
        "stored_bytes": sum(shard["stored_bytes"] for shard in shards),
    }
