"""What the report shows of word similarity: the paper's groups, and some pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number, correlation_number
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.tasks.contract import FinishedTask
from openalign.evaluate.tasks.similarity.word_similarity import (
    ALL,
    WordPairExample,
    WordSimilarityExamples,
    WordSimilarityFacts,
    metric_name,
)
from openalign.files.hashing import hash64

NUM_DRAWN = 8
"""Pairs that are shown as drawn."""

NUM_WORST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """One group of pairs."""

    group: str
    num_pairs: int
    number: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSimilaritySection:
    """A set of word pairs."""

    name: str
    num_words: int
    num_pairs: int
    rows: Sequence[GroupRow]
    drawn: Sequence[WordPairExample]
    worst: Sequence[WordPairExample]
    num_sampled: int
    opening: Sequence[tuple[str, Number]] = ()


def section(
    task: FinishedTask[WordSimilarityFacts], examples: WordSimilarityExamples, _: Tiles
) -> WordSimilaritySection:
    """Return what the template shows of one task."""
    pairs = sorted(examples.pairs, key=lambda pair: hash64(f"{pair.word1}\0{pair.word2}"))
    worst = sorted(pairs[NUM_DRAWN:], key=lambda pair: -abs(pair.rating_place - pair.cosine_place))
    metrics = {
        group: task.results.metric(metric_name(task.name, group)) for group in task.facts.groups
    }
    return WordSimilaritySection(
        name=task.name,
        num_words=task.facts.num_words,
        num_pairs=metrics[ALL].n,
        rows=[
            GroupRow(group=group, num_pairs=metric.n, number=correlation_number(metric))
            for group, metric in metrics.items()
        ],
        drawn=pairs[:NUM_DRAWN],
        worst=worst[:NUM_WORST],
        num_sampled=len(pairs),
    )
