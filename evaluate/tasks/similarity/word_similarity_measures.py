"""Measures of word similarity (ALIGN App. B), on embeddings alone.

Shape suffixes:
    N  pairs
    W  words
    D  embedding width
    R  resamples
"""

# ruff: noqa: N806  # capitals are shape suffixes

from collections.abc import Callable, Sequence

import numpy as np

from openalign.evaluate.datasets.ratings.word_pairs import WordPair
from openalign.evaluate.drawing.sampling import sample
from openalign.evaluate.metrics.bootstrap import Bootstrap, Ints, resampled
from openalign.evaluate.metrics.correlation import Codes, codes_of, mean_ranks, spearman
from openalign.evaluate.metrics.resampled import Resampled, resampled_metric
from openalign.evaluate.metrics.vectors import cosines_of_pairs
from openalign.evaluate.tasks.contract import Material, Measured, Sampling, name_of
from openalign.evaluate.tasks.similarity.word_similarity import (
    ALL,
    WORDS,
    WordPairExample,
    WordSimilarityExamples,
    WordSimilarityFacts,
    WordSimilarityTask,
    metric_name,
    pairs_of,
    words_of,
)

GROUPS: dict[str, Callable[[WordPair], bool]] = {
    ALL: lambda _: True,
    "adjs": lambda pair: pair.part_of_speech == "A",
    "nouns": lambda pair: pair.part_of_speech == "N",
    "verbs": lambda pair: pair.part_of_speech == "V",
    "conc_q1": lambda pair: pair.concreteness_quartile == 1,
    "conc_q2": lambda pair: pair.concreteness_quartile == 2,
    "conc_q3": lambda pair: pair.concreteness_quartile == 3,
    "conc_q4": lambda pair: pair.concreteness_quartile == 4,
    "hard": lambda pair: pair.is_hard,
}
"""The rows of Table 12."""


def measure(
    task: WordSimilarityTask, material: Material, sampling: Sampling
) -> Measured[WordSimilarityFacts, WordSimilarityExamples]:
    """Return the rank correlation of cosines and ratings, group by group, and some pairs."""
    pairs = pairs_of(material.benchmark.dataset, task.benchmark)
    words = words_of(pairs)
    row_of = {word: row for row, word in enumerate(words)}
    state_WD = material.unprojected[WORDS]
    cosine_N = cosines_of_pairs(
        state_WD,
        np.array([row_of[pair.word1] for pair in pairs]),
        state_WD,
        np.array([row_of[pair.word2] for pair in pairs]),
    )
    cosine, rating = codes_of(cosine_N), codes_of(np.array([pair.similarity for pair in pairs]))
    metrics: list[Resampled] = []
    for group in GROUPS:
        chosen = places_of(group, pairs)
        if len(chosen):
            name = metric_name(name_of(task), group)
            metrics.append(_metric(name, cosine[chosen], rating[chosen], sampling.bootstrap))
    asked = sample([f"{pair.word1}\0{pair.word2}" for pair in pairs], sampling.num_examples)
    cosine_place = len(pairs) + 1 - mean_ranks(cosine)
    rating_place = len(pairs) + 1 - mean_ranks(rating)
    return Measured(
        resampled=metrics,
        facts=WordSimilarityFacts(
            num_words=len(words),
            groups=tuple(group for group in GROUPS if len(places_of(group, pairs))),
        ),
        examples=WordSimilarityExamples(
            pairs=tuple(
                WordPairExample(
                    word1=pairs[at].word1,
                    word2=pairs[at].word2,
                    rating=pairs[at].similarity,
                    cosine=float(cosine_N[at]),
                    rating_place=float(rating_place[at]),
                    cosine_place=float(cosine_place[at]),
                )
                for at in asked
            )
        ),
        shown=frozenset(),
    )


def places_of(group: str, pairs: Sequence[WordPair]) -> Ints:
    """Return the places of a group's pairs."""
    return np.flatnonzero([GROUPS[group](pair) for pair in pairs])


def _metric(name: str, cosine: Codes, rating: Codes, bootstrap: Bootstrap) -> Resampled:
    """Return the correlation of some pairs; the bootstrap draws pairs."""
    return resampled_metric(
        name,
        spearman(cosine, rating),
        resampled(len(rating), lambda at: spearman(cosine[at], rating[at]), bootstrap),
        confidence=bootstrap.confidence,
        n=len(rating),
        chance=0.0,
    )
