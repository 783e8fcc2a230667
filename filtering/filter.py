"""`filter`: ALIGN's rules on alt-texts, exactly, before anything is fetched.

Reads candidates. Writes `kept-*.parquet`, `rejected-*.parquet` (with the rule that dropped each
row) and `ngrams.u64`, the frequent n-grams. Driven by the section `filter`.

Two Beam jobs: the first counts the corpus, the second judges each row by what was counted. A run
that is killed between them goes on with the second.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import polars as pl
import pyarrow as pa

from openalign.engines.batches import Paths, ReadTables, Summary, WriteSummary, run_to_summary
from openalign.files import storage
from openalign.files.hashing import canonical_json
from openalign.files.manifest import DataFile, StageResult
from openalign.files.schemas import CANDIDATE, FilterState
from openalign.filtering.config import FilterConfig, TextRules
from openalign.filtering.counts import frequency
from openalign.filtering.counts.tokens import U64, Tokens, hash_strings, normalize, tokenize
from openalign.filtering.counts.transforms import (
    ALT_TEXTS,
    IMAGES,
    NGRAMS,
    CountNgrams,
    CountPairs,
    Hashes,
    join_set,
    open_set,
)
from openalign.filtering.judging import JudgeFiles, Verdict, check_tails, outcome
from openalign.filtering.rules.text import TEXT_RULES, Corpus, TextBatch, text_flags

NGRAMS_FILE = "ngrams.u64"
"""The frequent n-grams: sorted little-endian hashes, even ones unigrams, odd ones bigrams."""

_COUNTED = "counted.json"


def run(
    config: FilterConfig,
    *,
    candidates: Sequence[str],
    output: str,
    work: str,
    beam_options: Sequence[str],
) -> StageResult | None:
    """Filter the candidates in Parquet files; see the module for what is written.

    A dry run builds both jobs and returns None.
    """
    counted = count(
        config, candidates=candidates, output=output, work=work, beam_options=beam_options
    )
    summary_url = storage.join(work, "judged.jsonl")
    graph = partial(
        _judge, config=config, urls=candidates, output=output, work=work, to=summary_url
    )
    summary = run_to_summary(graph, summary_url, beam_options)
    if counted is None or summary is None:
        return None
    found = outcome(summary, TEXT_RULES)
    return StageResult(
        num_inputs=sum(found.states.values()),
        states=found.states,
        num_outputs=found.states[FilterState.KEPT],
        files=[*summary.files, counted.ngrams],
        facts={**found.facts, **counted.facts},
    )


# The corpus ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What the first job left behind."""

    ngrams: DataFile
    facts: dict[str, Any]


def count(
    config: FilterConfig,
    *,
    candidates: Sequence[str],
    output: str,
    work: str,
    beam_options: Sequence[str],
) -> Counted | None:
    """Count the corpus, unless an earlier run already did; None after a dry run."""
    marker = storage.join(work, _COUNTED)
    if not storage.exists(marker):
        summary_url = storage.join(work, "counts.jsonl")
        graph = partial(_count, config=config, urls=candidates, work=work, to=summary_url)
        summary = run_to_summary(graph, summary_url, beam_options)
        if summary is None:
            return None
        ngrams = join_set(summary, work, NGRAMS, storage.join(output, NGRAMS_FILE))
        for name in (ALT_TEXTS, IMAGES):
            join_set(summary, work, name, storage.join(work, f"{name}.u64"))
        values = {"ngrams": asdict(ngrams), "facts": _facts(summary, config.text)}
        storage.write_text(marker, canonical_json(values))
    values = json.loads(storage.read_text(marker))
    return Counted(ngrams=DataFile(**values["ngrams"]), facts=values["facts"])


def _count(
    pipeline: beam.Pipeline, *, config: FilterConfig, urls: Sequence[str], work: str, to: str
) -> None:
    hashes: Any = (
        pipeline
        | ReadTables(urls, columns=["image_url", "alt_text"])
        | "Hash" >> beam.Map(hashes_of).with_output_types(Hashes)
    )
    ngrams = hashes | "Ngrams" >> CountNgrams(config.text, config.num_buckets, work)
    pairs = hashes | "Pairs" >> CountPairs(
        config.text.max_images_per_alt_text,
        config.text.max_alt_texts_per_image,
        config.num_buckets,
        work,
    )
    _ = (ngrams, pairs) | beam.Flatten() | WriteSummary(to)


def hashes_of(batch: pa.RecordBatch) -> Hashes:
    """Return what a batch adds to the counts."""
    alt_texts, images, tokens = _hashed(batch)
    return Hashes(alt_texts, images, (tokens.unigrams, tokens.bigrams()[0]))


def _hashed(batch: pa.RecordBatch) -> tuple[U64, U64, Tokens]:
    """Return the hash of each alt-text in its one spelling, of each image URL, and the words."""
    normalized = normalize(batch.column("alt_text"))
    return (
        hash_strings(normalized),
        hash_strings(batch.column("image_url")),
        tokenize(normalized),
    )


def _facts(summary: Summary, rules: TextRules) -> dict[str, Any]:
    cut = next(f["cut"] for f in summary.facts if "cut" in f)
    kept_bigrams = sum(f["odd"] for f in summary.facts if f.get("set") == NGRAMS)
    kept = (cut["num_kept"] - kept_bigrams, kept_bigrams)
    counted = (cut["num_unigrams"], cut["num_bigrams"])
    dropped = (counted[0] - kept[0], counted[1] - kept[1])
    return {
        "ngrams": {
            "top_k": rules.top_k,
            "min_count": rules.min_count,
            "coverage": rules.coverage,
            **cut,
            "num_unigrams_kept": kept[0],
            "num_bigrams_kept": kept[1],
            "expected_collisions": frequency.expected_collisions(*counted),
            "expected_wrongly_kept": frequency.expected_wrongly_frequent(kept, dropped),
        },
        "num_alt_texts_on_many_images": summary.counts[f"set_{ALT_TEXTS}"],
        "num_images_with_many_alt_texts": summary.counts[f"set_{IMAGES}"],
    }


# The verdict --------------------------------------------------------------------------------------


def _judge(
    pipeline: beam.Pipeline,
    *,
    config: FilterConfig,
    urls: Sequence[str],
    output: str,
    work: str,
    to: str,
) -> None:
    check_tails(urls)
    open_judge = partial(_open_judge, rules=config.text, output=output, work=work)
    parts = pipeline | Paths(urls) | JudgeFiles(open_judge, TEXT_RULES, output, CANDIDATE)
    _ = parts | WriteSummary(to)


def _open_judge(stack: ExitStack, *, rules: TextRules, output: str, work: str) -> Any:
    corpus = Corpus(
        ngrams=stack.enter_context(open_set(storage.join(output, NGRAMS_FILE))),
        alt_texts_on_many_images=stack.enter_context(
            open_set(storage.join(work, f"{ALT_TEXTS}.u64"))
        ),
        images_with_many_alt_texts=stack.enter_context(
            open_set(storage.join(work, f"{IMAGES}.u64"))
        ),
    )

    def judge(batch: pa.RecordBatch) -> Verdict:
        alt_texts, images, tokens = _hashed(batch)
        languages = pl.Series(batch.column("page_language"), dtype=pl.String)
        seen = TextBatch(languages, alt_texts, images, tokens)
        flags = text_flags(seen, corpus, rules)
        bit = 1 << TEXT_RULES.index(FilterState.ALT_TEXT_ON_MANY_IMAGES)
        return Verdict(flags, ((flags & bit) != 0, alt_texts))

    return judge
