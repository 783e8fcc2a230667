"""Queries of words, a picture, or a picture plus and minus words (ALIGN §7).

Each part is a unit vector; the query is their weighted sum, made a unit vector again.
"""

# ruff: noqa: N806  # capitals are shape suffixes

import os.path
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from openalign import storage
from openalign.errors import InputError
from openalign.evaluate.composed import unit_rows
from openalign.evaluate.retrieval import Rows
from openalign.evaluate.search.index import Hit, load

_SAME_DIRECTION = 1e-6


class Embedder(Protocol):
    """What turns pictures and texts into unit rows."""

    def embed_images(self, contents: list[bytes]) -> Rows:
        """Return a unit row for each encoded picture."""
        ...

    def embed_texts(self, texts: list[str]) -> Rows:
        """Return a unit row for each text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for: words or a picture, and words to add or to take away."""

    text: str | None = None
    """Words; beside a picture they are words to add."""

    image: str | None = None
    """A picture file or URL."""

    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    image_weight: float = 1.0
    """Weight of what the query starts from: the picture, or the words where there is none."""

    text_weight: float = 2.0
    """Weight of each text that is added or taken away; the paper found 1 to 2 best."""

    def texts(self) -> list[tuple[str, float]]:
        """Return every text with its weight."""
        start = self.text_weight if self.image else self.image_weight
        return [
            *([(self.text, start)] if self.text else []),
            *((text, self.text_weight) for text in self.plus),
            *((text, -self.text_weight) for text in self.minus),
        ]


def search(folder: str, *, model: str, query: Query, k: int) -> list[Hit]:
    """Return the k best pictures of an `evaluate` folder, best first.

    The query picture itself is left out where the index holds it at the same path.

    Raises:
        InputError: the query is empty, its picture is missing, or k is not from 1 to the number of
            pictures.
    """
    check(query)
    index = load(folder)
    if not 1 <= k <= len(index.items):
        raise InputError(f"k must be from 1 to {len(index.items)}, the pictures here, got {k}")
    picture = storage.read_bytes(query.image) if query.image else None
    from openalign.evaluate.encoder import Encoder

    query_D = vector(query, picture, Encoder.load(model))
    return index.nearest(query_D, k, without=_same_path(query.image, index.path(index.items[0])))


def check(query: Query) -> None:
    """Refuse a query that says nothing, or has no number for a weight.

    Raises:
        InputError: says what is missing.
    """
    if not (query.image or any(text.strip() for text, _ in query.texts())):
        raise InputError(
            "the query is empty", hint='give words, for example "red apple", or --image FILE'
        )
    for weight in (query.image_weight, query.text_weight):
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(f"a weight must be 0 or more, got {weight}")


def vector(query: Query, picture: bytes | None, embedder: Embedder) -> Rows:
    """Return the query's unit vector.

    Raises:
        InputError: its parts cancel each other out.
    """
    texts = [(text, weight) for text, weight in query.texts() if text.strip()]
    parts = list(embedder.embed_texts([text for text, _ in texts])) if texts else []
    weights = [weight for _, weight in texts]
    if picture is not None:
        parts.append(embedder.embed_images([picture])[0])
        weights.append(query.image_weight)
    total_D = np.tensordot(np.array(weights, dtype=np.float32), np.stack(parts), axes=1)
    if float(np.linalg.norm(total_D)) < _SAME_DIRECTION:
        raise InputError("the query's parts cancel each other out", hint="change a weight")
    return unit_rows(total_D[None])[0]


def _same_path(image: str | None, example: str) -> str:
    """Return the query picture's path, spelt as the index spells paths."""
    if not image or "://" in image:
        return image or ""
    absolute = os.path.abspath(image)  # noqa: PTH100  # `resolve` would follow links
    return absolute if example.startswith("/") else os.path.relpath(absolute)
