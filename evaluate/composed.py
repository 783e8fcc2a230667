"""Composed queries (ALIGN §7): a picture, minus words, plus words, and the picture it leads to.

The score of a gallery picture g is g * (w_i i + w_p p - w_m m) over unit vectors. It means nothing
alone: the picture itself, without the words, is a strong query. So image-only and text-only stand
beside it, and the gain over image-only has an interval of its own from paired resamples.

Shape suffixes:
    Q  queries
    G  gallery
    D  embedding width
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from openalign.errors import InputError
from openalign.evaluate.bootstrap import Bootstrap, Floats, Ints, mean_intervals
from openalign.evaluate.results import Metric
from openalign.evaluate.retrieval import RECALL_AT, TIE, Rows, best, score_blocks, unit_rows
from openalign.files import storage

COMBINED = "combined"
IMAGE_ONLY = "image_only"
TEXT_ONLY = "text_only"
METHODS = (COMBINED, IMAGE_ONLY, TEXT_ONLY)
GAIN = "gain_over_image_only"

_KEYS = ("image", "minus", "plus", "target", "kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedQuery:
    """One query as the file has it."""

    image: str
    """File name of the picture to start from."""

    minus: str
    plus: str
    """Words to take away and to add; one of the two may be empty."""

    target: str
    """File name of the picture that must be found."""

    kind: str
    """What is changed; results are given kind by kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each part of a query counts."""

    image: float
    plus: float
    minus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedQueries:
    """Queries with their embeddings; a missing text is a row of zeros."""

    image_Q: Ints
    """Place of the query picture in the gallery."""

    target_Q: Ints
    plus_QD: Rows
    minus_QD: Rows


def read_queries(path: str, names: Sequence[str]) -> list[ComposedQuery]:
    """Read `{"queries": [{"image", "minus", "plus", "target", "kind"}, ...]}`.

    Raises:
        InputError: the file is not of that form, or a query names a picture that is not in `names`.
    """
    try:
        content = json.loads(storage.read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path}: is not JSON: {error}") from error
    entries = cast("dict[str, Any]", content).get("queries") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: `queries` must be a list that is not empty")
    known = frozenset(names)
    return [
        _query(f"{path}: query {number}", entry, known)
        for number, entry in enumerate(cast("list[Any]", entries))
    ]


def _query(where: str, entry: Any, known: frozenset[str]) -> ComposedQuery:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: must be a mapping, got {entry!r}")
    values = {"minus": "", "plus": "", "kind": "all"} | cast("dict[str, Any]", entry)
    for key in _KEYS:
        if not isinstance(values.get(key), str):
            found = f"must be a text, got {values[key]!r}" if key in values else "is missing"
            raise InputError(f"{where}: `{key}` {found}")
    query = ComposedQuery(**{key: values[key].strip() for key in _KEYS})
    for key in ("image", "target"):
        if values[key] not in known:
            raise InputError(f"{where}: `{key}` {values[key]} is not a picture of the data set")
    if query.image == query.target:
        raise InputError(f"{where}: `target` is the query picture, which is not in the gallery")
    if not (query.minus or query.plus):
        raise InputError(f"{where}: `minus` and `plus` are both empty")
    return query


def vectors(queries: EmbeddedQueries, image_GD: Rows, weights: Weights) -> dict[str, Rows]:
    """Return the unit query vectors of each method."""
    image_QD = image_GD[queries.image_Q]
    words_QD = weights.plus * queries.plus_QD - weights.minus * queries.minus_QD
    return {
        COMBINED: unit_rows(weights.image * image_QD + words_QD),
        IMAGE_ONLY: image_QD,
        TEXT_ONLY: unit_rows(queries.plus_QD - queries.minus_QD),
    }


def ranks(query_QD: Rows, image_GD: Rows, queries: EmbeddedQueries) -> Ints:
    """Return how many pictures come before each target, or tie with it.

    Neither the target nor the query picture is counted: the gallery is every other picture.
    """
    found_Q = np.empty(len(query_QD), dtype=np.int64)
    for rows, scores in score_blocks(query_QD, image_GD):
        each = np.arange(len(scores))
        image_q, target_q = queries.image_Q[rows], queries.target_Q[rows]
        reached = ~(scores < scores[each, target_q][:, None] - TIE)  # NaN counts as a miss
        reached[each, image_q] = False
        reached[each, target_q] = False
        found_Q[rows] = reached.sum(axis=1)
    return found_Q


def first_results(query_QD: Rows, image_GD: Rows, image_Q: Ints, k: int) -> list[list[int]]:
    """Return the places of the k best pictures of each query, without the query picture."""
    found: list[list[int]] = []
    for rows, scores in score_blocks(query_QD, image_GD):
        scores[np.arange(len(scores)), image_Q[rows]] = -np.inf
        found += [best(score_G, k) for score_G in scores]
    return found


def measure(
    prefix: str,
    rank_by_method: Mapping[str, Ints],
    queries: Sequence[ComposedQuery],
    *,
    target_Q: Ints,
    num_gallery: int,
    how: Bootstrap,
) -> list[Metric]:
    """Return top-K of every method and the gain over image-only, kind by kind.

    The bootstrap draws target pictures with all queries that lead to them.
    """
    kinds = list(dict.fromkeys(query.kind for query in queries))
    metrics: list[Metric] = []
    for kind in kinds:
        of_kind = np.array([query.kind == kind for query in queries])
        hits = {
            method: np.stack([rank_Q[of_kind] < k for k in RECALL_AT], axis=1).astype(np.float64)
            for method, rank_Q in rank_by_method.items()
        }
        hits[GAIN] = hits[COMBINED] - hits[IMAGE_ONLY]
        for method, hit_QK in hits.items():
            chance = 0.0 if method == GAIN else 1.0 / (num_gallery - 1)
            name = f"{prefix}/{kind}/{method}"
            metrics += _top_k(name, hit_QK, target_Q[of_kind], chance_of_one=chance, how=how)
    return metrics


def is_supported(gain: Metric) -> bool:
    """Tell whether a gain may be claimed: its interval lies above zero."""
    return gain.low > 0.0


def _top_k(
    name: str, hit_QK: Floats, target_Q: Ints, *, chance_of_one: float, how: Bootstrap
) -> list[Metric]:
    low_K, high_K = mean_intervals(hit_QK, target_Q, how)
    return [
        Metric(
            name=f"{name}/top_{k}",
            value=float(hit_QK[:, column].mean()),
            low=float(low_K[column]),
            high=float(high_K[column]),
            n=len(hit_QK),
            chance=min(1.0, k * chance_of_one),
        )
        for column, k in enumerate(RECALL_AT)
    ]
