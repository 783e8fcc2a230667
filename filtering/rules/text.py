"""Text-based filtering (ALIGN §3): the table of rules, and one function a rule.

A new rule is a function, a line in `TEXT_RULES` and a state in `FilterState`, at the same place in
the order. If it needs a set that only the whole corpus can give, the set is a field of `TextCorpus`
and `filtering/text_filter.py` counts it.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from openalign.files.states import FilterState
from openalign.filtering.config import LanguageFrom, TextRules
from openalign.filtering.counts.membership import absent, present
from openalign.filtering.counts.tokens import (
    U64,
    Bools,
    HashedWords,
    hash_strings,
    hash_words,
    normalize,
)
from openalign.filtering.rules.table import Rule


@dataclass(frozen=True, slots=True)
class TextCorpus:
    """What the rules know of the whole corpus; each a sorted array, maybe memory-mapped."""

    ngrams: U64
    """The frequent unigrams and bigrams."""

    alt_texts_on_many_images: U64
    images_with_many_alt_texts: U64


@dataclass(frozen=True, slots=True)
class TextBatch:
    """A batch as the rules see it; everything has one entry a row."""

    rows: pa.RecordBatch
    """Candidates (`schemas.CANDIDATE`) as harvest wrote them; the first job reads only their image
    URL and alt-text."""

    alt_text_hashes: U64
    """Of the alt-texts in their one spelling."""

    image_hashes: U64
    """Of the images' URLs."""

    words: HashedWords
    """Of the alt-texts in their one spelling."""

    @classmethod
    def of(cls, rows: pa.RecordBatch) -> "TextBatch":
        """Normalize, cut and hash a batch of candidates."""
        normalized = normalize(rows.column("alt_text"))
        return cls(
            rows=rows,
            alt_text_hashes=hash_strings(normalized),
            image_hashes=hash_strings(rows.column("image_url")),
            words=hash_words(normalized),
        )


def is_in_other_language(batch: TextBatch, _: TextCorpus, rules: TextRules) -> Bools:
    """Tell which alt-texts are in a language that is not asked for."""
    if not rules.languages:
        return np.zeros(batch.rows.num_rows, bool)
    languages = _languages(batch.rows, rules.language_from)
    known = languages.is_in(pl.Series(rules.languages, dtype=pl.String).implode())
    return ~known.fill_null(rules.keep_unknown_language).to_numpy()


def _languages(rows: pa.RecordBatch, language_from: LanguageFrom) -> pl.Series:
    of_page, of_text = (
        pl.Series(rows.column(name), dtype=pl.String) for name in ("page_language", "text_language")
    )
    if language_from == "page_or_text":
        return of_page.zip_with(of_page.is_not_null(), of_text)
    return of_text if language_from == "text" else of_page


def is_on_many_images(batch: TextBatch, corpus: TextCorpus, _: TextRules) -> Bools:
    """Tell which alt-texts stand on more images than one may."""
    return present(batch.alt_text_hashes, corpus.alt_texts_on_many_images)


def has_image_with_many_alt_texts(batch: TextBatch, corpus: TextCorpus, _: TextRules) -> Bools:
    """Tell which images have more alt-texts than one may."""
    return present(batch.image_hashes, corpus.images_with_many_alt_texts)


def has_too_few_unigrams(batch: TextBatch, _: TextCorpus, rules: TextRules) -> Bools:
    """Tell which alt-texts have too few words."""
    return batch.words.num_unigrams < rules.min_unigrams


def has_too_many_unigrams(batch: TextBatch, _: TextCorpus, rules: TextRules) -> Bools:
    """Tell which alt-texts have too many words."""
    return batch.words.num_unigrams > rules.max_unigrams


def has_rare_ngram(batch: TextBatch, corpus: TextCorpus, _: TextRules) -> Bools:
    """Tell which alt-texts have a unigram or bigram that is not among the frequent ones."""
    words, frequent = batch.words, corpus.ngrams
    rare = np.zeros(len(words.num_unigrams), bool)
    rare[words.rows()[absent(words.unigrams, frequent)]] = True
    bigrams, rows = words.bigrams()
    open_question = ~rare[rows]  # a rare unigram has settled the others
    bigrams, rows = bigrams[open_question], rows[open_question]
    rare[rows[absent(bigrams, frequent)]] = True
    return rare


TEXT_RULES: tuple[Rule[TextBatch, TextCorpus, TextRules], ...] = (
    Rule(FilterState.LANGUAGE, is_in_other_language),
    Rule(FilterState.ALT_TEXT_ON_MANY_IMAGES, is_on_many_images),
    Rule(FilterState.IMAGE_WITH_MANY_ALT_TEXTS, has_image_with_many_alt_texts),
    Rule(FilterState.TOO_FEW_UNIGRAMS, has_too_few_unigrams),
    Rule(FilterState.TOO_MANY_UNIGRAMS, has_too_many_unigrams),
    Rule(FilterState.RARE_NGRAM, has_rare_ngram),
)
"""The rules in the order in which they are asked, which is the order of `FilterState`."""
