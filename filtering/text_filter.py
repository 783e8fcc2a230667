"""`filter`: ALIGN's rules on alt-texts, before anything is fetched.

Reads candidates. Writes `kept-*.parquet`, `rejected-*.parquet` (with the rule that dropped each
row) and `ngrams.u64`, the frequent n-grams. Driven by the section `filter`.

There are two Beam jobs: the first counts the corpus, the second judges each row by the counts.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import apache_beam as beam
import msgspec
import pyarrow as pa

from openalign.engines.batches import Paths, ReadTables
from openalign.engines.jobs import Attempt, EndedJob, Job, Jobs
from openalign.engines.parts import Summary
from openalign.files import storage
from openalign.files.facts import FilterFacts, NgramFacts
from openalign.files.manifest import DataFile, StageResult
from openalign.files.names import NGRAMS_FILE
from openalign.files.schemas import CANDIDATE
from openalign.files.states import FilterState
from openalign.filtering.config import FilterConfig, TextRules
from openalign.filtering.counts import frequency
from openalign.filtering.counts.counting import (
    ALT_TEXTS,
    IMAGES,
    NGRAMS,
    CountNgrams,
    CountPairs,
    CutNote,
    Hashes,
    SetNote,
    join_set,
    open_set,
    set_count,
    set_file,
)
from openalign.filtering.counts.tokens import U64
from openalign.filtering.judging import Judge, JudgeFiles, Verdict, add_up, check_tails
from openalign.filtering.rules.table import ask_rules, dropped_by, names_of
from openalign.filtering.rules.text import TEXT_RULES, TextBatch, TextCorpus
from openalign.filtering.thresholds import Frequent


def jobs(config: FilterConfig, *, candidates: Sequence[str], output: str, work: str) -> Jobs:
    """Declare the two jobs that filter the candidates in Parquet files."""
    return Jobs(
        jobs=[
            Job(
                name="counts",
                build=partial(_count, config=config, urls=candidates, work=work),
                finish=partial(_join_sets, output=output, work=work),
            ),
            Job(
                name="judged",
                build=partial(_judge, config=config, urls=candidates, output=output, work=work),
            ),
        ],
        collect=partial(_collect, config=config),
    )


def _collect(counts: EndedJob, verdicts: EndedJob, *, config: FilterConfig) -> StageResult:
    found = add_up(verdicts.summary, names_of(TEXT_RULES))
    in_sets = counts.summary.counts
    return StageResult(
        num_inputs=sum(found.states.values()),
        states=found.states,
        num_outputs=found.states[FilterState.KEPT],
        files=[*verdicts.summary.files, *counts.files],
        facts=FilterFacts(
            ngrams=_ngram_facts(counts.summary, config.text.frequent),
            num_alt_texts_on_many_images=in_sets[set_count(ALT_TEXTS)],
            num_images_with_many_alt_texts=in_sets[set_count(IMAGES)],
            **msgspec.structs.asdict(found.facts),
        ),
    )


# The corpus ---------------------------------------------------------------------------------------


def _count(
    pipeline: beam.Pipeline, _: Attempt, *, config: FilterConfig, urls: Sequence[str], work: str
) -> Any:
    hashes: Any = (
        pipeline
        | ReadTables(urls, columns=["image_url", "alt_text"])
        | "Hash" >> beam.Map(hashes_of).with_output_types(Hashes)
    )
    ngrams = hashes | "Ngrams" >> CountNgrams(config.text.frequent, config.count_buckets, work)
    pairs = hashes | "Pairs" >> CountPairs(
        config.text.max_images_per_alt_text,
        config.text.max_alt_texts_per_image,
        config.count_buckets,
        work,
    )
    return (ngrams, pairs) | beam.Flatten()


def _join_sets(summary: Summary, *, output: str, work: str) -> list[DataFile]:
    for name in (ALT_TEXTS, IMAGES):
        join_set(summary, work, name, storage.join(work, set_file(name)))
    return [join_set(summary, work, NGRAMS, storage.join(output, NGRAMS_FILE))]


def hashes_of(rows: pa.RecordBatch) -> Hashes:
    """Return what a batch adds to the counts."""
    batch = TextBatch.of(rows)
    ngrams = (batch.words.unigrams, batch.words.bigrams()[0])
    return Hashes(batch.alt_text_hashes, batch.image_hashes, ngrams)


def _ngram_facts(summary: Summary, frequent: Frequent) -> NgramFacts:
    [cut] = summary.notes(CutNote)
    kept_bigrams = sum(note.num_odd for note in summary.notes(SetNote) if note.name == NGRAMS)
    kept = (cut.num_kept - kept_bigrams, kept_bigrams)
    counted = (cut.num_unigrams, cut.num_bigrams)
    dropped = (counted[0] - kept[0], counted[1] - kept[1])
    return NgramFacts(
        rule=frequent.in_words(),
        num_unigrams_kept=kept[0],
        num_bigrams_kept=kept[1],
        expected_collisions=frequency.expected_collisions(*counted),
        expected_wrongly_kept=frequency.expected_wrongly_frequent(kept, dropped),
        **msgspec.structs.asdict(cut),
    )


# The verdict --------------------------------------------------------------------------------------


def _judge(
    pipeline: beam.Pipeline,
    _: Attempt,
    *,
    config: FilterConfig,
    urls: Sequence[str],
    output: str,
    work: str,
) -> Any:
    check_tails(urls)
    open_judge = partial(_open_judge, settings=config.text, output=output, work=work)
    judge = JudgeFiles(open_judge, names_of(TEXT_RULES), config.count_buckets, output, CANDIDATE)
    return pipeline | Paths(urls) | judge


def _open_judge(*, settings: TextRules, output: str, work: str) -> Judge:
    def opened(name: str, url: str) -> U64:
        return open_set(url, work=work, name=name, stage="filter")

    corpus = TextCorpus(
        ngrams=opened(NGRAMS, storage.join(output, NGRAMS_FILE)),
        alt_texts_on_many_images=opened(ALT_TEXTS, storage.join(work, set_file(ALT_TEXTS))),
        images_with_many_alt_texts=opened(IMAGES, storage.join(work, set_file(IMAGES))),
    )

    def judge(rows: pa.RecordBatch) -> Verdict:
        batch = TextBatch.of(rows)
        flags = ask_rules(TEXT_RULES, batch, corpus, settings)
        frequent = dropped_by(FilterState.ALT_TEXT_ON_MANY_IMAGES, flags, TEXT_RULES)
        return Verdict(flags, (frequent, batch.alt_text_hashes))

    return judge
