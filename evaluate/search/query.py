"""Queries of words, a picture, or a picture plus and minus words (ALIGN §7).

Each part is a unit vector; the query is their weighted sum, made a unit vector again.
"""

# ruff: noqa: N806  # capitals are shape suffixes

import os.path
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from openalign.errors import InputError
from openalign.evaluate import results
from openalign.evaluate.embeddings import Embedder, embed_named
from openalign.evaluate.retrieval import Rows, unit_rows
from openalign.evaluate.search.index import Hit, load
from openalign.files import storage

_SAME_DIRECTION = 1e-6


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

    plus_weight: float = 2.0
    """Weight of each text that is added, against `image_weight`; the paper found 1 to 2 best."""

    minus_weight: float = 2.0
    """Weight of each text that is taken away, against `image_weight`."""

    def texts(self) -> list[tuple[str, float]]:
        """Return every text with its weight."""
        start = self.plus_weight if self.image else self.image_weight
        return [
            *([(self.text, start)] if self.text else []),
            *((text, self.plus_weight) for text in self.plus),
            *((text, -self.minus_weight) for text in self.minus),
        ]


def search(
    folder: str, *, model: str, query: Query, k: int, folders: Mapping[str, str] | None = None
) -> list[Hit]:
    """Return the k best pictures of an `evaluate` folder, best first.

    The query picture itself is left out where the index holds it at the same path. `folders` says
    where the pictures of a data set lie now; it wins over where `evaluate` saw them.

    Raises:
        InputError: the query is empty, its picture is missing, k is not from 1 to the number of
            pictures, or another model made the index.
    """
    check(query)
    index = load(folder, folders)
    if not 1 <= k <= len(index.items):
        raise InputError(f"k must be from 1 to {len(index.items)}, the pictures here, got {k}")
    picture = storage.read_bytes(query.image) if query.image else None
    from openalign.evaluate.encoder import Encoder

    encoder = Encoder.load(model)
    hashes = {"weights": encoder.weights_hash, "preprocess": encoder.preprocess_hash}
    made_with = results.read(storage.join(folder, results.RESULTS)).hashes
    if any(made_with.get(part) != value for part, value in hashes.items()):
        raise InputError(
            f"{folder}: the index was made with another model than {model}",
            hint="run `openalign evaluate`",
        )
    query_D = vector(query, picture, encoder)
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
    for weight in (query.image_weight, query.plus_weight, query.minus_weight):
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(f"a weight must be 0 or more, got {weight}")


def vector(query: Query, picture: bytes | None, embedder: Embedder) -> Rows:
    """Return the query's unit vector.

    Raises:
        InputError: its parts cancel each other out, or the picture cannot be embedded.
    """
    texts = [(text, weight) for text, weight in query.texts() if text.strip()]
    parts = list(embedder.embed_texts([text for text, _ in texts])) if texts else []
    weights = [weight for _, weight in texts]
    if picture is not None:
        parts.append(embed_named(embedder, [query.image or "the picture"], [picture])[0])
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
