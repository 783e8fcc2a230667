"""Pairs of words that people rated for similarity, as SimLex-999 has them (ALIGN App. B)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openalign.evaluate.datasets.dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class WordPair:
    """Two words and what people said of them."""

    word1: str
    word2: str

    part_of_speech: str
    """`A` for adjectives, `N` for nouns, `V` for verbs."""

    similarity: float
    """The mean rating; higher is more similar."""

    concreteness_quartile: int
    """From 1, the most abstract pairs, to 4."""

    is_hard: bool
    """Whether it is among the pairs whose words are associated most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordPairs(Dataset):
    """Pairs of words, in the published order; there are no images."""

    images: tuple[()] = ()
    pairs: Sequence[WordPair]

    @property
    def beside_images(self) -> tuple[str, ...]:
        """How many pairs there are."""
        return (f"{len(self.pairs):,} pairs of words",)

    def content(self) -> list[Any]:
        """Return all that numbers depend on, for a hash."""
        return [*Dataset.content(self), list(self.pairs)]
