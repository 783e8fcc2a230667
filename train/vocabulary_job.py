"""The vocabulary of a training run: a Beam job counts the words, one process learns the pieces.

    work/vocabulary.txt                  the vocabulary
    work/words-00003-of-00064.parquet    words and their counts

Counts are of distinct alt-texts, so a text that a site repeats counts once. They are exact, and do
not depend on the workers. Learning takes minutes for millions of words. It is done by the process
that starts the ranks, or by rank 0 where something else starts them (`ranks.slow_on_rank_0`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import polars as pl
import pyarrow as pa

from openalign.engines.arrow_bytes import gathered
from openalign.engines.batches import ReadTables
from openalign.engines.buckets import CutByBucket, hash_buckets
from openalign.engines.jobs import Attempt, Job, run_one
from openalign.engines.parts import Part, Summary
from openalign.files import storage
from openalign.files.names import table_file
from openalign.files.tables import read_table, write_table
from openalign.telemetry import say
from openalign.train.data.vocabulary import has_vocabulary, learn_vocabulary, save_vocabulary
from openalign.train.data.words import WordRules, add_up, count_words

_NUM_BUCKETS = 64
"""Pieces that texts and words are each cut into. The result does not depend on it."""

_TEXTS_AT_ONCE = 1 << 16
_WORDS = "words-"
_WORD_SCHEMA = pa.schema([("word", pa.string()), ("count", pa.int64())])


def make_vocabulary(
    url: str,
    training: Sequence[str],
    *,
    size: int,
    rules: WordRules,
    work: str,
    beam_options: Sequence[str] = (),
) -> None:
    """Write the vocabulary of the training manifest's files to `url`, unless it is there.

    Raises:
        StageError: the job failed.
        ConfigError: an option is not one of Beam's.
    """
    if has_vocabulary(url):
        return
    say(f"train     counts the words of the training text, for at most {size:,} word pieces")
    job = Job(
        name="vocabulary",
        build=partial(_count, urls=training, rules=rules, work=work),
    )
    counted = run_one(job, work=work, beam_options=beam_options)
    # Not as the job's end, which is not come to again where the vocabulary alone is gone.
    _learn(counted.summary, size=size, work=work, url=url)


@dataclass
class CountWords(beam.PTransform[Any, Any]):
    """Write each word of the distinct alt-texts and its count to `work`, as Parts."""

    rules: WordRules
    work: str

    def expand(self, batches: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the counts."""
        words: Any = (
            batches
            | "Texts" >> CutByBucket(_NUM_BUCKETS, partial(_bucket_of, by="alt_text"))
            | "Gather texts" >> beam.GroupByKey()
            | "Count" >> beam.FlatMapTuple(self._count).with_output_types(pa.RecordBatch)
        )
        parts: Any = (
            words
            | "Words" >> CutByBucket(_NUM_BUCKETS, partial(_bucket_of, by="word"))
            | "Gather words" >> beam.GroupByKey()
            | "Write" >> beam.MapTuple(self._write).with_output_types(str)
        )
        return parts

    def _count(self, _: int, pieces: Iterable[bytes]) -> Iterator[pa.RecordBatch]:
        texts = gathered(pieces)["alt_text"].unique()
        counted = [
            count_words(some, self.rules)
            for start in range(0, len(texts), _TEXTS_AT_ONCE)
            for some in [texts.slice(start, _TEXTS_AT_ONCE)]
        ]
        yield from add_up(pl.concat(counted)).to_arrow().cast(_WORD_SCHEMA).to_batches()

    def _write(self, bucket: int, pieces: Iterable[bytes]) -> str:
        words = add_up(gathered(pieces)).to_arrow().cast(_WORD_SCHEMA)
        name = table_file(_WORDS, bucket, _NUM_BUCKETS)
        return Part(files=[write_table(self.work, name, words)]).to_json()


def _bucket_of(batch: pa.RecordBatch, *, by: str) -> Any:
    return hash_buckets(batch, by=by, num_buckets=_NUM_BUCKETS)


def _count(
    pipeline: beam.Pipeline, _: Attempt, *, urls: Sequence[str], rules: WordRules, work: str
) -> Any:
    texts: Any = pipeline | ReadTables(urls, ["alt_text"])
    return texts | CountWords(rules, work)


def _learn(summary: Summary, *, size: int, work: str, url: str) -> None:
    tables = [read_table(storage.join(work, file.name)) for file in summary.files]
    counted = pl.DataFrame(pa.concat_tables([_WORD_SCHEMA.empty_table(), *tables]))
    say(f"train     learns word pieces from {counted.height:,} different words")
    save_vocabulary(url, learn_vocabulary(counted, size=size))
