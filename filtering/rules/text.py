"""Text-based filtering (ALIGN §3): one bit a rule and row, and the first rule that drops a row.

Every rule is asked about every row, so that the funnel can also say what a rule would drop alone.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from openalign.files.states import FilterState
from openalign.filtering.config import TextRules
from openalign.filtering.counts.frequency import absent, present
from openalign.filtering.counts.tokens import U64, Bools, HashedWords
from openalign.filtering.rules.flags import Flags, pack

TEXT_RULES = tuple(state.value for state in FilterState if state is not FilterState.KEPT)
"""The rules in the order in which they are asked; rule i sets bit i."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """What the rules need to know of the whole corpus; each a sorted array, maybe memory-mapped."""

    ngrams: U64
    """The frequent unigrams and bigrams."""

    alt_texts_on_many_images: U64
    images_with_many_alt_texts: U64


@dataclass(frozen=True, slots=True)
class TextBatch:
    """A batch as the rules see it."""

    languages: pl.Series
    """Primary subtag of the page's language, or null."""

    alt_text_hashes: U64
    image_hashes: U64
    tokens: HashedWords


def text_flags(batch: TextBatch, corpus: Corpus, rules: TextRules) -> Flags:
    """Return a byte a row with the bit of every rule that drops it."""
    num_unigrams = batch.tokens.num_unigrams
    by_rule: dict[FilterState, Bools] = {
        FilterState.LANGUAGE: _other_language(batch.languages, rules),
        FilterState.ALT_TEXT_ON_MANY_IMAGES: present(
            batch.alt_text_hashes, corpus.alt_texts_on_many_images
        ),
        FilterState.IMAGE_WITH_MANY_ALT_TEXTS: present(
            batch.image_hashes, corpus.images_with_many_alt_texts
        ),
        FilterState.TOO_FEW_UNIGRAMS: num_unigrams < rules.min_unigrams,
        FilterState.TOO_MANY_UNIGRAMS: num_unigrams > rules.max_unigrams,
        FilterState.RARE_NGRAM: has_rare_ngram(batch.tokens, corpus.ngrams),
    }
    return pack([by_rule[FilterState(rule)] for rule in TEXT_RULES])


def has_rare_ngram(tokens: HashedWords, frequent: U64) -> Bools:
    """Tell which rows have a unigram or bigram that is not among the frequent ones."""
    rare = np.zeros(len(tokens.num_unigrams), bool)
    rare[tokens.rows()[absent(tokens.unigrams, frequent)]] = True
    bigrams, rows = tokens.bigrams()
    open_question = ~rare[rows]  # a rare unigram has settled the others
    bigrams, rows = bigrams[open_question], rows[open_question]
    rare[rows[absent(bigrams, frequent)]] = True
    return rare


def _other_language(languages: pl.Series, rules: TextRules) -> Bools:
    if not rules.languages:
        return np.zeros(len(languages), bool)
    known = languages.is_in(pl.Series(rules.languages, dtype=pl.String).implode())
    return ~known.fill_null(rules.keep_unknown_language).to_numpy()
