"""Where the right items of each query come in a gallery, and recall at K from it.

A query's rank is the number of wrong items that score as high as its best right one: 0 is the first
place, and a tie counts as a miss. So a collapsed model, for which everything is equal, scores zero
and not one, and so does one whose embeddings are NaN. Scorers that sort take ties as they come;
`Metric.ties_at_random` is what they would find on average.

Shape suffixes:
    Q  queries
    G  gallery
    D  embedding width
    K  places that count
    N  right items of all queries
    R  resamples
"""

# ruff: noqa: N802, N803, N806, N815  # capitals are shape suffixes

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openalign.evaluate.metrics.bootstrap import Bootstrap, Floats, Ints, resampled_means
from openalign.evaluate.metrics.resampled import Resampled, resampled_metric
from openalign.evaluate.metrics.vectors import Vectors, exceeds, expected_hit, reaches, score_blocks

_EQUAL = 1e-12
"""Two means of one number differ by less than this, whatever the order of the sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RightItems:
    """The places in a gallery that are right for each query; a query needs at least one."""

    item_N: Ints
    """Query by query."""

    num_Q: Ints

    def __post_init__(self) -> None:
        assert bool((self.num_Q > 0).all()), "a query has no right item in the gallery"
        assert int(self.num_Q.sum()) == len(self.item_N)

    @classmethod
    def of(cls, items: Iterable[Iterable[int]]) -> "RightItems":
        """Make it of the right places of each query."""
        lists = [list(each) for each in items]
        flat = [item for each in lists for item in each]
        return cls(
            item_N=np.array(flat, dtype=np.int64),
            num_Q=np.array([len(each) for each in lists], dtype=np.int64),
        )

    @classmethod
    def one_each(cls, item_Q: Ints) -> "RightItems":
        """Make it of one right place a query."""
        return cls(item_N=item_Q, num_Q=np.ones_like(item_Q))

    @classmethod
    def by_owner(cls, query_owner_Q: Ints, gallery_owner_G: Ints) -> "RightItems":
        """Make it of the gallery's items that have the query's owner."""
        order_G = np.argsort(gallery_owner_G, kind="stable")
        first_Q = np.searchsorted(gallery_owner_G[order_G], query_owner_Q, side="left")
        after_Q = np.searchsorted(gallery_owner_G[order_G], query_owner_Q, side="right")
        runs = [order_G[first:after] for first, after in zip(first_Q, after_Q, strict=True)]
        return cls(item_N=np.concatenate(runs).astype(np.int64), num_Q=after_Q - first_Q)

    def each(self) -> list[Ints]:
        """Return the right places of each query."""
        return np.split(self.item_N, np.cumsum(self.num_Q)[:-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """What comes before the best right item of each query, and what ties with it."""

    above_Q: Ints
    """Wrong items that score higher."""

    tied_Q: Ints
    """Wrong items that tie with it."""

    right_tied_Q: Ints
    """Right items that tie with it, itself included."""

    @property
    def rank_Q(self) -> Ints:
        """Ranks with ties as misses; 0 is the first place."""
        return self.above_Q + self.tied_Q

    def hits(self, at: Sequence[int]) -> Floats:
        """Return 1 where a right item is among the first K, ties as misses."""
        return np.stack([self.rank_Q < k for k in at], axis=1).astype(np.float64)

    def expected_hits(self, at: Sequence[int]) -> Floats:
        """Return the chance that one is, if ties come in random order."""
        num_right = self.right_tied_Q
        return np.stack(
            [expected_hit(self.above_Q, self.tied_Q, k, num_right=num_right) for k in at], axis=1
        )

    def subset(self, chosen_Q: Ints) -> "Ranks":
        """Return the ranks of some queries, by their places."""
        return Ranks(
            above_Q=self.above_Q[chosen_Q],
            tied_Q=self.tied_Q[chosen_Q],
            right_tied_Q=self.right_tied_Q[chosen_Q],
        )

    @classmethod
    def joined(cls, parts: Sequence["Ranks"]) -> "Ranks":
        """Return the ranks of all parts, one after another."""
        return cls(
            above_Q=np.concatenate([part.above_Q for part in parts]),
            tied_Q=np.concatenate([part.tied_Q for part in parts]),
            right_tied_Q=np.concatenate([part.right_tied_Q for part in parts]),
        )


def ranks_of(
    query_QD: Vectors, gallery_GD: Vectors, right: RightItems, *, left_out_Q: Ints | None = None
) -> Ranks:
    """Return each query's rank; the item that `left_out_Q` names is not in its gallery."""
    found = np.empty((len(query_QD), 3), dtype=np.int64)
    items = right.each()
    for rows, scores in score_blocks(query_QD, gallery_GD):
        for query, score_G in zip(range(len(query_QD))[rows], scores, strict=True):
            left_out = None if left_out_Q is None else int(left_out_Q[query])
            found[query] = rank_among(score_G, items[query], left_out=left_out)
    return Ranks(above_Q=found[:, 0], tied_Q=found[:, 1], right_tied_Q=found[:, 2])


def rank_among(score_G: Vectors, right: Ints, *, left_out: int | None) -> tuple[int, int, int]:
    """Return the number of wrong items above and tied, and of right items tied, for one query."""
    bound = score_G[right].max()
    reached_G = reaches(score_G, bound)
    if left_out is not None:
        reached_G[left_out] = False
    num_right = int(np.count_nonzero(reached_G[right]))
    num_wrong = int(np.count_nonzero(reached_G)) - num_right
    if num_wrong == 0:
        return 0, 0, num_right
    above_G = exceeds(score_G, bound) & reached_G
    num_above = int(np.count_nonzero(above_G)) - int(np.count_nonzero(above_G[right]))
    return num_above, num_wrong - num_above, num_right


def recalls(
    prefix: str,
    ranks: Ranks,
    *,
    at: Mapping[int, str],
    group_Q: Ints,
    chance: Sequence[float],
    bootstrap: Bootstrap,
    weight_Q: Floats | None = None,
) -> list[Resampled]:
    """Return recall at each K with its interval; `at` has the last part of the name of each.

    `group_Q` is what the bootstrap draws: queries of one group are not independent. `weight_Q` has
    the mean 1, and says how much a query counts.
    """
    hit_QK, expected_QK = ranks.hits(tuple(at)), ranks.expected_hits(tuple(at))
    if weight_Q is not None:
        hit_QK, expected_QK = hit_QK * weight_Q[:, None], expected_QK * weight_Q[:, None]
    value_RK = resampled_means(hit_QK, group_Q, bootstrap)
    return [
        resampled_metric(
            f"{prefix}/{last}",
            float(hit_QK[:, column].mean()),
            value_RK[:, column],
            confidence=bootstrap.confidence,
            n=len(hit_QK),
            chance=chance[column],
            ties_at_random=where_different(
                float(expected_QK[:, column].mean()), float(hit_QK[:, column].mean())
            ),
        )
        for column, last in enumerate(at.values())
    ]


def mean_of(name: str, parts: Sequence[Resampled], *, n: int, bootstrap: Bootstrap) -> Resampled:
    """Return the mean of some metrics; their resamples are of the same groups, and so paired."""
    value = _mean(part.metric.value for part in parts)
    expected = _mean(_at_random(part) for part in parts)
    return resampled_metric(
        name,
        value,
        np.mean([part.value_R for part in parts], axis=0),
        confidence=bootstrap.confidence,
        n=n,
        chance=_mean(part.metric.chance for part in parts),
        ties_at_random=where_different(expected, value),
    )


def difference_of(
    name: str, part: Resampled, base: Resampled, *, bootstrap: Bootstrap
) -> Resampled:
    """Return a metric less another; their resamples are of the same groups, and so paired."""
    value = part.metric.value - base.metric.value
    return resampled_metric(
        name,
        value,
        part.value_R - base.value_R,
        confidence=bootstrap.confidence,
        n=part.metric.n,
        chance=0.0,
        ties_at_random=where_different(_at_random(part) - _at_random(base), value),
    )


def even_weights(part_Q: Ints) -> Floats:
    """Return weights of mean 1 with which the mean over queries is the mean over parts."""
    parts, part_Q = np.unique(part_Q, return_inverse=True)
    size = np.bincount(part_Q)
    return (len(part_Q) / (len(parts) * size))[part_Q]


def chance_recall(
    k: int, num_right_Q: Ints, num_gallery_Q: Ints, *, weight_Q: Floats | None = None
) -> float:
    """Return the expected recall at K of a random order.

    With c right items among N: 1 - C(N-c, K) / C(N, K), averaged over the queries.
    """
    missed_Q = np.ones(len(num_right_Q))
    for placed in range(int(num_right_Q.max())):  # each in turn misses the first K
        share_Q = np.maximum(num_gallery_Q - placed - k, 0) / np.maximum(num_gallery_Q - placed, 1)
        missed_Q *= np.where(placed < num_right_Q, share_Q, 1.0)
    return float(np.average(1.0 - missed_Q, weights=weight_Q))


def _at_random(part: Resampled) -> float:
    metric = part.metric
    return metric.value if metric.ties_at_random is None else metric.ties_at_random


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def where_different(expected: float, value: float) -> float | None:
    """Return an expected value, or None where ties change nothing."""
    return expected if abs(expected - value) > _EQUAL else None
