"""Queries of words, an image, or an image plus and minus words (ALIGN §7).

Each part is a unit vector. The query is their weighted sum, made a unit vector again.
"""

# ruff: noqa: N806  # capitals are shape suffixes

from dataclasses import dataclass

import numpy as np

from openalign.errors import InputError
from openalign.evaluate.embedding.embedder import Embedder, embed_named
from openalign.evaluate.metrics.vectors import Vectors, scaled, unit_rows

_SAME_DIRECTION = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for: words or an image, and words to add or to take away.

    Raises:
        InputError: it says nothing, its words are not UTF-8, or a weight is no number of 0 or more.
    """

    text: str | None = None
    """Words; beside an image they are words to add."""

    image: str | None = None
    """An image file or URL."""

    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    image_weight: float = 1.0
    """Weight of what the query starts from: the image, or the words where there is none."""

    plus_weight: float = 2.0
    """Weight of each text that is added, against `image_weight`; the paper found 1 to 2 best."""

    minus_weight: float = 2.0
    """Weight of each text that is taken away, against `image_weight`."""

    def __post_init__(self) -> None:
        if not (self.image or any(text.strip() for text, _ in self.texts())):
            raise InputError(
                "the query is empty", hint='give words, for example "red apple", or --image FILE'
            )
        for text, _ in self.texts():
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise InputError(
                    f"the query {text!r} is not UTF-8",
                    hint="set the terminal to UTF-8, or write queries into a file: --queries FILE",
                )
        for weight in (self.image_weight, self.plus_weight, self.minus_weight):
            if not (np.isfinite(weight) and weight >= 0):
                raise InputError(f"a weight must be 0 or more, got {weight}")

    def texts(self) -> list[tuple[str, float]]:
        """Return every text with its weight."""
        start = self.plus_weight if self.image else self.image_weight
        return [
            *([(self.text, start)] if self.text else []),
            *((text, self.plus_weight) for text in self.plus),
            *((text, -self.minus_weight) for text in self.minus),
        ]


def query_vector(query: Query, image: bytes | None, embedder: Embedder) -> Vectors:
    """Return the query's unit vector; `image` is the content of the query's image.

    Raises:
        InputError: its parts cancel each other out, or the image cannot be embedded.
    """
    texts = [(text, weight) for text, weight in query.texts() if text.strip()]
    parts = list(embedder.embed_texts([text for text, _ in texts])) if texts else []
    weights = [weight for _, weight in texts]
    if image is not None:
        parts.append(embed_named(embedder, query.image or "the image", image))
        weights.append(query.image_weight)
    total_D = np.tensordot(scaled(weights), np.stack(parts), axes=1)
    if float(np.linalg.norm(total_D)) < _SAME_DIRECTION:
        raise InputError("the query's parts cancel each other out", hint="change a weight")
    return unit_rows(total_D[None])[0]
