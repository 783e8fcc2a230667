"""Similarity of words (ALIGN App. B, Table 12): cosines against people's ratings, in rank order.

Names of metrics: word_similarity/<task>/<group>/spearman

A word is embedded as it is, word pieces and all, and its state before the projection counts. The
measuring lies in `word_similarity_measures`, the report's section in `word_similarity_section`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.ratings.word_pairs import WordPair, WordPairs
from openalign.evaluate.tasks.contract import (
    FinishedTask,
    Material,
    Measured,
    Needs,
    Sampling,
    TaskKind,
    TaskSection,
    template_of,
)
from openalign.settings.limits import short_name

if TYPE_CHECKING:
    from openalign.evaluate.drawing.tiles import Tiles

WORDS = "words"
"""What the task's own texts are called in file names."""

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSimilarityTask:
    """Whether words that people find similar lie close to each other (appendix B)."""

    kind: Literal["word_similarity"] = "word_similarity"
    """Which task: similarity of words."""

    name: str = ""
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`, of a data set of word pairs such as SimLex-999."""

    def __post_init__(self) -> None:
        if self.name:
            short_name(name=self.name)


class WordSimilarityFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pairs were measured."""

    num_words: int
    groups: tuple[str, ...]
    """Those with a pair, in the order of the paper's table."""


class WordPairExample(msgspec.Struct, frozen=True, kw_only=True):
    """A pair, and where people and the model put it among all pairs."""

    word1: str
    word2: str
    rating: float
    cosine: float
    rating_place: float
    """1 is the most similar pair; pairs that are equal share the mean of their places."""

    cosine_place: float


class WordSimilarityExamples(msgspec.Struct, frozen=True, kw_only=True):
    """Some pairs."""

    pairs: tuple[WordPairExample, ...]


def needs(task: WordSimilarityTask, dataset: Dataset) -> Needs:
    """Return the words, whose state before the projection is needed.

    Raises:
        InputError: the data set has no pairs of words.
    """
    return Needs(
        splits=frozenset(), unprojected={WORDS: words_of(pairs_of(dataset, task.benchmark))}
    )


def pairs_of(dataset: Dataset, benchmark: str) -> Sequence[WordPair]:
    """Return the pairs of a data set of word pairs.

    Raises:
        InputError: it is another data set, or has no pair.
    """
    if not isinstance(dataset, WordPairs) or not dataset.pairs:
        raise InputError(
            f"benchmark `{benchmark}`: has no pairs of words",
            hint="this task needs rated pairs of words, such as SimLex-999",
        )
    return dataset.pairs


def words_of(pairs: Sequence[WordPair]) -> list[str]:
    """Return every word of the pairs, once and sorted."""
    return sorted({word for pair in pairs for word in (pair.word1, pair.word2)})


def measure(
    task: WordSimilarityTask, material: Material, sampling: Sampling
) -> Measured[WordSimilarityFacts, WordSimilarityExamples]:
    """Return the rank correlation of cosines and ratings, group by group."""
    from openalign.evaluate.tasks.similarity import word_similarity_measures

    return word_similarity_measures.measure(task, material, sampling)


def metric_name(task: str, group: str) -> str:
    """Return the name of a group's correlation."""
    return f"word_similarity/{task}/{group}/spearman"


def headline(task: FinishedTask[WordSimilarityFacts]) -> list[str]:
    """Return a line: the correlation over all pairs."""
    found = task.results.metric(metric_name(task.name, ALL))
    low, value, high = (f"{100 * part:.1f}" for part in (found.low, found.value, found.high))
    return [f"{task.name}, words: Spearman x 100 {value} ({low} to {high}; {found.n:,} pairs)"]


def protocol(task: FinishedTask[WordSimilarityFacts]) -> str:
    """Say which vectors were compared."""
    return (
        f"Spearman's correlation of people's ratings with the cosines of {task.facts.num_words:,} "
        "words, each the text tower's state before the projection."
    )


def _section(
    task: FinishedTask[WordSimilarityFacts], examples: WordSimilarityExamples, tiles: "Tiles"
) -> TaskSection:
    from openalign.evaluate.tasks.similarity import word_similarity_section

    return word_similarity_section.section(task, examples, tiles)


KIND = TaskKind(
    settings=WordSimilarityTask,
    facts=WordSimilarityFacts,
    examples=WordSimilarityExamples,
    needs=needs,
    measure=measure,
    section=_section,
    template=template_of(__name__),
    headline=headline,
    page="tasks/similarity.md",
    hub_task="sentence-similarity",
    protocol=protocol,
)
