"""Composed queries in two dimensions, where every score can be worked out by hand."""

import numpy as np
import pytest
from embedded import ranked

from openalign.evaluate.drawing.sampling import nearest
from openalign.evaluate.metrics.bootstrap import Bootstrap
from openalign.evaluate.metrics.ranking import Ranks
from openalign.evaluate.tasks.composed import composed_measures
from openalign.evaluate.tasks.composed.composed import COMBINED, IMAGE_ONLY, TEXT_ONLY, is_supported
from openalign.evaluate.tasks.composed.composed_measures import EmbeddedQueries
from openalign.evaluate.tasks.composed.composed_queries import ComposedQuery
from openalign.evaluate.tasks.contract import QueryWeights

# Images: 0 points right, 1 up, 2 half-way between, 3 left.
HALF = np.float32(np.sqrt(0.5))
IMAGES = np.array([[1, 0], [0, 1], [HALF, HALF], [-1, 0]], dtype=np.float32)
# From the image on the right, add "up", take away "right": up is meant.
UP = EmbeddedQueries(
    image_Q=np.array([0]),
    target_Q=np.array([1]),
    plus_QD=np.array([[0, 1]], dtype=np.float32),
    minus_QD=np.array([[1, 0]], dtype=np.float32),
)


def rank_of(method: str, weights: QueryWeights) -> int:
    query = composed_measures.vectors_of(UP, IMAGES, weights)[method]
    return int(composed_measures.target_ranks(query, IMAGES, UP).rank_Q[0])


def test_words_turn_the_image_by_their_weight() -> None:
    # 1:1:1 gives (0, 1): up is first. 1:0.5:0 gives (1, 0.5): between (1.06) is before up (0.5).
    assert rank_of(COMBINED, QueryWeights(image=1, plus=1, minus=1)) == 0
    assert rank_of(COMBINED, QueryWeights(image=1, plus=0.5, minus=0)) == 1
    # 1:0:2 gives (-1, 0): left (1) and nothing else is before up (0).
    assert rank_of(COMBINED, QueryWeights(image=1, plus=0, minus=2)) == 1


def test_weights_of_any_size_count_by_their_proportion() -> None:
    # As 1:1:1 and 1:0:2 above.
    assert rank_of(COMBINED, QueryWeights(image=1e40, plus=1e40, minus=1e40)) == 0
    assert rank_of(COMBINED, QueryWeights(image=1e-46, plus=0, minus=2e-46)) == 1


def test_image_only_and_text_only_ignore_the_weights() -> None:
    # Alone, the image on the right finds between (0.71) before up (0).
    assert rank_of(IMAGE_ONLY, QueryWeights(image=1, plus=9, minus=9)) == 1
    # (-1, 1): up 0.71, left 0.71 is a tie, which counts against the query.
    assert rank_of(TEXT_ONLY, QueryWeights(image=9, plus=9, minus=1)) == 1


def test_the_query_image_is_not_in_the_gallery() -> None:
    query = composed_measures.vectors_of(UP, IMAGES, QueryWeights(image=1, plus=0, minus=0))[
        COMBINED
    ]

    assert nearest(query, IMAGES, 3, left_out_Q=UP.image_Q) == [[2, 1, 3]]


def test_words_that_cancel_find_nothing() -> None:
    same = EmbeddedQueries(
        image_Q=UP.image_Q, target_Q=UP.target_Q, plus_QD=UP.minus_QD, minus_QD=UP.minus_QD
    )
    query = composed_measures.vectors_of(same, IMAGES, QueryWeights(image=1, plus=1, minus=1))[
        TEXT_ONLY
    ]

    assert composed_measures.target_ranks(query, IMAGES, same).rank_Q.tolist() == [2]


def test_an_embedding_that_is_not_a_number_is_a_miss() -> None:
    nothing = np.full((1, 2), np.nan, dtype=np.float32)

    assert composed_measures.target_ranks(nothing, IMAGES, UP).rank_Q.tolist() == [2]


def query(kind: str) -> ComposedQuery:
    return ComposedQuery(image="a", minus="b", plus="c", target="d", kind=kind)


def test_each_kind_has_its_own_numbers_and_its_own_gain() -> None:
    queries = [query("tone"), query("tone"), query("gender")]
    ranks = {
        COMBINED: ranked([0, 4, 7], tied=[0, 4, 0]),
        IMAGE_ONLY: ranked([3, 5, 0]),
        TEXT_ONLY: ranked([99, 99, 99]),
    }

    gains = composed_measures.gain_metrics(
        "composed/edits",
        ranks,
        queries,
        target_Q=np.arange(3),
        num_gallery=101,
        bootstrap=Bootstrap(resamples=20, confidence=0.9, seed=0),
    )

    found = [each.metric for each in gains]
    values = {metric.name.removeprefix("composed/edits/"): metric.value for metric in found}
    assert len(found) == 2 * 4 * 3
    assert values["tone/combined/top_1"] == 0.5
    assert values["tone/combined/top_5"] == 1.0
    assert values["tone/image_only/top_5"] == 0.5
    assert values["tone/text_only/top_10"] == 0.0
    assert values["tone/gain_over_image_only/top_1"] == 0.5
    assert values["gender/gain_over_image_only/top_1"] == -1.0
    assert values["gender/gain_over_image_only/top_10"] == 0.0
    # The second query ties with four others: a fifth of a hit in the first place.
    ties = {m.name.removeprefix("composed/edits/"): m.ties_at_random for m in found}
    assert ties["tone/combined/top_1"] == pytest.approx(0.6)
    assert ties["tone/gain_over_image_only/top_1"] == pytest.approx(0.6)
    assert ties["gender/combined/top_1"] is None
    chances = {metric.name.removeprefix("composed/edits/"): metric.chance for metric in found}
    assert chances["tone/combined/top_5"] == pytest.approx(0.05)
    assert chances["tone/gain_over_image_only/top_5"] == 0.0


def test_a_gain_is_claimed_only_when_its_interval_lies_above_zero() -> None:
    # Paired: 30 of 40 queries gain, none loses. Unpaired intervals of 30/40 and 0/40 say the same;
    # with 2 gains and 1 loss of 40 nothing may be said.
    ranks = ranked([0] * 40)
    worse = ranked([5] * 30 + [0] * 10)
    mixed = ranked([5] * 2 + [0] * 38)
    lost = ranked([0] * 3 + [5] + [0] * 36)
    bootstrap = Bootstrap(resamples=500, confidence=0.95, seed=0)

    def gain(combined: Ranks, image_only: Ranks) -> bool:
        gains = composed_measures.gain_metrics(
            "c",
            {COMBINED: combined, IMAGE_ONLY: image_only, TEXT_ONLY: ranks},
            [query("all")] * 40,
            target_Q=np.arange(40),
            num_gallery=50,
            bootstrap=bootstrap,
        )
        found = {each.metric.name: each.metric for each in gains}
        return is_supported(found["c/all/gain_over_image_only/top_1"])

    assert gain(ranks, worse)
    assert not gain(lost, mixed)
    assert not gain(worse, ranks)
