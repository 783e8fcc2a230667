"""`select`: ALIGN's rules on images, once they are fetched.

Reads the ledger and the shards' indexes; pixels are not needed. Writes `training-*.parquet`, one
row a pair with the place of its picture in the shards, and `decisions-*.parquet`, the pairs that
are left out and the rule that did it. Nothing is rewritten, so other thresholds cost no download.
Driven by the section `select`.

Two Beam jobs, as in `filter`: the first finds images with many alt-texts, the same bytes counting
as one image under any address; the second judges each pair. A ledger file and the index of its
shard belong together, so places are found without a shuffle.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import apache_beam as beam
import polars as pl
import pyarrow as pa

from openalign import storage
from openalign.batches import Paths, SortIntoFiles, WriteSummary, read_summary
from openalign.errors import InputError
from openalign.filtering.config import SelectConfig
from openalign.filtering.counting import IMAGES, CountPairs, Hashes, join_set, open_set
from openalign.filtering.frequency import present
from openalign.filtering.image_rules import IMAGE_RULES, image_flags
from openalign.filtering.judging import Judge, JudgeRows, Verdict, outcome
from openalign.filtering.near_duplicates import matcher
from openalign.filtering.tokens import hash_strings, normalize
from openalign.manifest import StageResult
from openalign.runners import run_job
from openalign.schemas import DECISION, TRAINING, FetchState, SelectState
from openalign.shards import index_name, read_table

_COUNTED = "counted"
_PICTURE = "jpg"


def run(
    config: SelectConfig,
    *,
    ledger: Sequence[str],
    held_out: pa.Table,
    index: Sequence[str],
    output: str,
    work: str,
    beam_options: Sequence[str],
) -> StageResult:
    """Select training pairs; see the module for what is read and written.

    `held_out` has the fingerprints (`schemas.FINGERPRINT`) of pictures that must stay out.
    """
    many_url = storage.join(work, f"{IMAGES}.u64")
    if not storage.exists(storage.join(work, _COUNTED)):
        counts_url = storage.join(work, "counts.jsonl")
        run_job(partial(_count, config=config, urls=ledger, work=work, to=counts_url), beam_options)
        join_set(read_summary(counts_url), work, IMAGES, many_url)
        storage.write_text(storage.join(work, _COUNTED), "")
    summary_url = storage.join(work, "judged.jsonl")
    open_judge = partial(_open_judge, config=config, held_out=held_out, many_url=many_url)
    graph = partial(_judge, config=config, open_judge=open_judge, output=output, to=summary_url)
    run_job(partial(graph, files=_with_index(ledger, index)), beam_options)
    summary = read_summary(summary_url)
    found = outcome(summary, IMAGE_RULES)
    return StageResult(
        num_inputs=sum(found.states.values()),
        states=found.states,
        num_outputs=found.states[SelectState.KEPT],
        files=summary.files,
        facts={
            **found.facts,
            "near_duplicates": {
                "method": config.near_duplicates.method,
                "radius_bits": config.near_duplicates.radius_bits,
                "num_held_out": held_out.num_rows,
            },
        },
    )


def _with_index(ledger: Sequence[str], index: Sequence[str]) -> list[tuple[str, str | None]]:
    """Pair each ledger file with the index of its shard, where it has one."""
    by_name = {url.rsplit("/", 1)[-1]: url for url in index}
    return [(url, by_name.get(_index_of(url))) for url in ledger]


def _index_of(ledger_url: str) -> str:
    name = ledger_url.rsplit("/", 1)[-1].removesuffix(".parquet")
    return index_name(name.replace("ledger-", "shard-", 1) + ".tar")


# The corpus ---------------------------------------------------------------------------------------


def _count(
    pipeline: beam.Pipeline, *, config: SelectConfig, urls: Sequence[str], work: str, to: str
) -> None:
    hashes: Any = pipeline | Paths(urls) | "Hash" >> beam.Map(_hashes_of).with_output_types(Hashes)
    pairs = hashes | "Pairs" >> CountPairs(
        None, config.image.max_alt_texts, config.num_buckets, work
    )
    _ = pairs | WriteSummary(to)


def _hashes_of(url: str) -> Hashes:
    rows = _fetched(url, ["state", "alt_text", "sha256"])
    texts = rows["alt_text"].to_arrow()
    return Hashes(hash_strings(normalize(texts)), hash_strings(rows["sha256"]))


def _fetched(url: str, columns: list[str] | None = None) -> pl.DataFrame:
    rows = pl.DataFrame(read_table(url, columns))
    return rows.filter(pl.col("state") == FetchState.FETCHED.value)


# The verdict --------------------------------------------------------------------------------------


def _judge(
    pipeline: beam.Pipeline,
    *,
    config: SelectConfig,
    open_judge: Any,
    files: Sequence[tuple[str, str | None]],
    output: str,
    to: str,
) -> None:
    sides: Any = (
        pipeline
        | Paths(files)
        | "Place" >> beam.FlatMapTuple(_with_places).with_output_types(pa.RecordBatch)
        | JudgeRows(open_judge, IMAGE_RULES)
    )
    training = (
        sides.kept
        | "Pairs" >> beam.Map(lambda batch: batch.select(TRAINING.names))
        | "Training" >> SortIntoFiles(output, "training", TRAINING, config.num_files)
    )
    decisions = (
        sides.rejected
        | "Rules" >> beam.Map(_to_decisions)
        | "Decisions" >> SortIntoFiles(output, "decisions", DECISION, config.num_files)
    )
    _ = (training, decisions, sides.parts) | "All" >> beam.Flatten() | WriteSummary(to)


def _with_places(ledger_url: str, index_url: str | None) -> Iterator[pa.RecordBatch]:
    """Give a ledger file's fetched rows the place of their picture in the shard."""
    rows = _fetched(ledger_url)
    if rows.is_empty():
        return
    if index_url is None:
        raise InputError(
            f"{ledger_url} has fetched images but its shard has no index",
            hint="run `openalign fetch` again",
        )
    places = pl.DataFrame(read_table(index_url)).filter(pl.col("member") == _PICTURE)
    placed = rows.join(
        places.select(pl.col("key").alias("image_key"), "offset", "length"),
        on="image_key",
        how="left",
        maintain_order="left",
    )
    if placed["offset"].null_count():
        raise InputError(
            f"{ledger_url} has images that are not in {index_url}",
            hint="run `openalign fetch` again",
        )
    yield from placed.to_arrow().combine_chunks().to_batches()


def _to_decisions(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select(["key", "reason"]).rename_columns(DECISION.names)


def _open_judge(
    stack: ExitStack, *, config: SelectConfig, held_out: pa.Table, many_url: str
) -> Judge:
    with_many_alt_texts = stack.enter_context(open_set(many_url))
    is_copy = matcher(held_out, config.near_duplicates)

    def judge(batch: pa.RecordBatch) -> Verdict:
        images = pl.DataFrame(batch.select(["width_px", "height_px", "sha256", "phash"]))
        return Verdict(
            image_flags(
                images,
                rules=config.image,
                has_many_alt_texts=present(hash_strings(images["sha256"]), with_many_alt_texts),
                is_near_duplicate=is_copy(images),
            )
        )

    return judge
