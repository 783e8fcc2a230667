"""`select`: ALIGN's rules on images, once they are fetched.

Reads the ledger and the shards' indexes; pixels are not needed. Writes `training-*.parquet`, one
row a pair with the place of its image in the shards, and `decisions-*.parquet`, the pairs that
are left out, each with the rule that drops it. No image is rewritten, so other thresholds cost no
download. Driven by the section `select`.

There are two Beam jobs, as in `filter`. The first finds images with many alt-texts; images with the
same bytes are one image, whatever their address. The second judges each pair. A ledger file and
the index of its shard belong together, so places are found without a shuffle.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
import msgspec
import polars as pl
import pyarrow as pa

from openalign.engines.batches import Paths, SortIntoFiles
from openalign.engines.jobs import Attempt, EndedJob, Job, Jobs
from openalign.engines.parts import Summary
from openalign.errors import InputError
from openalign.files import storage
from openalign.files.facts import NearDuplicateFacts, SelectFacts
from openalign.files.manifest import DataFile, StageResult
from openalign.files.names import (
    DECISIONS,
    IMAGE_MEMBERS,
    TRAINING_PAIRS,
    index_name,
    shard_of_ledger,
)
from openalign.files.removals import NO_REMOVALS, Removals, read_removals, write_removals
from openalign.files.schemas import DECISION, TRAINING
from openalign.files.states import FetchState, SelectState
from openalign.files.tables import read_table, write_table
from openalign.files.training_index import write_training_index
from openalign.filtering.config import SelectConfig
from openalign.filtering.counts.counting import (
    IMAGES,
    CountPairs,
    Hashes,
    join_set,
    open_set,
    set_file,
)
from openalign.filtering.counts.tokens import hash_strings, normalize
from openalign.filtering.judging import Judge, JudgeRows, Verdict, add_up
from openalign.filtering.rules.image import IMAGE_RULES, ImageBatch, ImageCorpus
from openalign.filtering.rules.near_duplicates import matcher
from openalign.filtering.rules.table import ask_rules, names_of

_HELD_OUT = "held-out.parquet"


def jobs(
    config: SelectConfig,
    *,
    ledger: Sequence[str],
    held_out: pa.Table,
    output: str,
    work: str,
    removals: Removals = NO_REMOVALS,
) -> Jobs:
    """Declare the two jobs that select training pairs.

    `held_out` has the fingerprints (`schemas.FINGERPRINT`) of images that must stay out, and
    `removals` what somebody asked to leave out.
    """
    return Jobs(
        jobs=[
            Job(
                name="counts",
                build=partial(_count, config=config, urls=ledger, work=work),
                finish=partial(_finish_counts, held_out=held_out, removals=removals, work=work),
            ),
            Job(
                name="judged",
                build=partial(_judge, config=config, urls=ledger, output=output, work=work),
            ),
        ],
        collect=partial(_collect, config=config, num_held_out=held_out.num_rows),
    )


def _collect(
    _: EndedJob, verdicts: EndedJob, *, config: SelectConfig, num_held_out: int
) -> StageResult:
    found = add_up(verdicts.summary, names_of(IMAGE_RULES))
    return StageResult(
        num_inputs=sum(found.states.values()),
        states=found.states,
        num_outputs=found.states[SelectState.KEPT],
        files=verdicts.summary.files,
        facts=SelectFacts(
            near_duplicates=NearDuplicateFacts(
                method=config.near_duplicates.method,
                radius_bits=config.near_duplicates.radius_bits,
                num_held_out=num_held_out,
            ),
            **msgspec.structs.asdict(found.facts),
        ),
    )


# The corpus ---------------------------------------------------------------------------------------


def _count(
    pipeline: beam.Pipeline, _: Attempt, *, config: SelectConfig, urls: Sequence[str], work: str
) -> Any:
    hashes: Any = pipeline | Paths(urls) | "Hash" >> beam.Map(_hashes_of).with_output_types(Hashes)
    return hashes | "Pairs" >> CountPairs(
        None, config.image.max_alt_texts, config.count_buckets, work
    )


def _finish_counts(
    summary: Summary, *, held_out: pa.Table, removals: Removals, work: str
) -> list[DataFile]:
    join_set(summary, work, IMAGES, storage.join(work, set_file(IMAGES)))
    # Not in the graph: at 60 bytes an image, 170,000 of them exceed what Dataflow takes.
    write_table(work, _HELD_OUT, held_out)
    write_removals(work, removals)
    return []


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
    _: Attempt,
    *,
    config: SelectConfig,
    urls: Sequence[str],
    output: str,
    work: str,
) -> Any:
    sides: Any = (
        pipeline
        | Paths(urls)
        | "Place" >> beam.FlatMap(_with_places).with_output_types(pa.RecordBatch)
        | JudgeRows(
            partial(_open_judge, config=config, work=work),
            names_of(IMAGE_RULES),
            config.count_buckets,
        )
    )
    training = (
        sides.kept
        | "Pairs" >> beam.Map(_to_training).with_output_types(pa.RecordBatch)
        | "Training"
        >> SortIntoFiles(
            output,
            TRAINING_PAIRS,
            TRAINING,
            config.num_files,
            by="sha256",  # so that all pairs of an image are in one file
            finish=_with_image_numbers,
            beside=write_training_index,
        )
    )
    decisions = (
        sides.rejected
        | "Rules" >> beam.Map(_to_decisions).with_output_types(pa.RecordBatch)
        | "Decisions" >> SortIntoFiles(output, DECISIONS, DECISION, config.num_files)
    )
    return (training, decisions, sides.parts) | "All" >> beam.Flatten()


def _with_places(ledger_url: str) -> Iterator[pa.RecordBatch]:
    """Give a ledger file's fetched rows the place of their image in the shard."""
    rows = _fetched(ledger_url)
    if rows.is_empty():
        return
    index_url = _index_of(ledger_url)
    if not storage.exists(index_url):
        raise InputError(
            f"{ledger_url} has fetched images but its shard has no index",
            hint="run `openalign fetch` again",
        )
    places = _read_index(index_url).filter(pl.col("member").is_in(IMAGE_MEMBERS))
    placed = rows.join(
        places.select(pl.col("key").alias("image_key"), "offset", "length", "xxh3"),
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


def _read_index(url: str) -> pl.DataFrame:
    """Return a shard's index; the hashes are null in one that was written before there were any."""
    index = pl.DataFrame(read_table(url))
    if "xxh3" in index.columns:
        return index
    return index.with_columns(xxh3=pl.lit(None, dtype=pl.UInt64))


def _index_of(ledger_url: str) -> str:
    """Return the index of a ledger's shard, which lies beside the ledger."""
    folder, _, name = ledger_url.rpartition("/")
    return storage.join(folder, index_name(shard_of_ledger(name)))


def _to_training(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select(["shard", "offset", "length", "alt_text", "key", "xxh3", "sha256"])


def _with_image_numbers(pairs: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Number the images of a file of training pairs; pairs of one image get one place.

    Images with the same bytes are one image. It is read from the first of its places.
    """
    place = ("shard", "offset", "length", "xxh3")
    images = pairs.sort("sha256", *place, nulls_last=True).unique(
        "sha256", keep="first", maintain_order=True
    )
    numbered = images.select("sha256", *place).with_row_index("image")
    placed = pairs.drop(place).join(numbered, on="sha256", how="left", maintain_order="left")
    return placed.select(TRAINING.names), {}


def _to_decisions(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select(["key", "reason"]).rename_columns(DECISION.names)


def _open_judge(*, config: SelectConfig, work: str) -> Judge:
    held_out = read_table(storage.join(work, _HELD_OUT))
    corpus = ImageCorpus(
        images_with_many_alt_texts=open_set(
            storage.join(work, set_file(IMAGES)), work=work, name=IMAGES, stage="select"
        ),
        is_copy=matcher(held_out, config.near_duplicates),
        removals=read_removals(work),
    )

    def judge(rows: pa.RecordBatch) -> Verdict:
        return Verdict(ask_rules(IMAGE_RULES, ImageBatch.of(rows), corpus, config.image))

    return judge
