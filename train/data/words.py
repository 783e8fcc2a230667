"""Words of alt-texts: how a text is treated and cut before a vocabulary is learned or applied.

Torch is not needed: Beam workers count words with this module.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl
from tokenizers import Regex
from tokenizers.normalizers import NFC, NFKC, BertNormalizer, Normalizer, Replace, Sequence
from tokenizers.pre_tokenizers import BertPreTokenizer, PreTokenizer, Split
from tokenizers.pre_tokenizers import Sequence as InTurn

from openalign.train.config import ModelConfig

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The first word pieces of every vocabulary, in this order."""

Normalization = Literal["none", "nfc", "nfkc"]

_SYMBOL = r"\p{S}"
"""Unicode's symbols: emoji, their skin tones, currencies, signs such as a trade mark's."""


_EMOJI_FORM = "\ufe0f"
"""Asks for a symbol in color. It would be a word of its own behind every other emoji."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRules:
    """The settings that decide what a word is."""

    lowercase: bool = True
    normalization: Normalization = "none"
    split_symbols: bool = False

    @classmethod
    def of(cls, model: ModelConfig) -> "WordRules":
        """Return the rules that settings name."""
        return cls(
            lowercase=model.lowercase,
            normalization=model.normalization,
            split_symbols=model.split_symbols,
        )

    @property
    def is_bert(self) -> bool:
        """Whether these are a BERT's own rules, which its tokenizer's options can say."""
        return self.normalization == "none" and not self.split_symbols


def normalizer(rules: WordRules) -> Normalizer:
    """Return what treats a text before it is cut: Unicode's forms, control characters, CJK, case.

    Accents stay.
    """
    bert = BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=rules.lowercase
    )
    if rules.is_bert:
        return bert
    steps: list[Normalizer] = [bert]
    if rules.normalization != "none":
        steps.insert(0, NFC() if rules.normalization == "nfc" else NFKC())
    if rules.split_symbols:
        steps.insert(0, Replace(_EMOJI_FORM, ""))
    return Sequence(steps)


def pre_tokenizer(rules: WordRules) -> PreTokenizer:
    """Return what cuts a text into words and single punctuation marks, and symbols if asked to."""
    bert = BertPreTokenizer()
    if not rules.split_symbols:
        return bert
    return InTurn([bert, Split(Regex(_SYMBOL), "isolated")])


_NO_WORDS = pl.DataFrame(schema={"word": pl.String, "count": pl.Int64})


def count_words(texts: pl.Series, rules: WordRules) -> pl.DataFrame:
    """Return each word of texts (`word`) and how often it stands in them (`count`).

    Texts are cut at spaces first, where no rule joins characters. What stands between two spaces
    recurs, so each such piece is treated once, and those that are equally frequent together.
    """
    pieces = texts.str.split(" ").explode().drop_nulls().value_counts(name="times")
    counted = [
        pl.DataFrame({"word": list(words_of([" ".join(same)], rules))}, schema={"word": pl.String})
        .group_by("word")
        .agg(count=pl.len().cast(pl.Int64) * times)
        for times, same in pieces.group_by("times").agg(pl.all()).iter_rows()
    ]
    return add_up(pl.concat([_NO_WORDS, *counted]))


def add_up(counted: pl.DataFrame) -> pl.DataFrame:
    """Return counts of words with a row a word, sorted by word."""
    return counted.group_by("word").agg(pl.col("count").sum()).sort("word")


def words_of(texts: Iterable[str], rules: WordRules) -> Iterator[str]:
    """Yield the words of texts, in order."""
    treat, cut = normalizer(rules), pre_tokenizer(rules)
    for text in texts:
        for word, _ in cut.pre_tokenize_str(treat.normalize_str(text)):
            yield word
