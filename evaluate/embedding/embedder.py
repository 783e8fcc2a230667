"""What the stage and the search ask of a model that embeds; `encoder` has one."""

from collections.abc import Sequence
from typing import Any, Protocol

from openalign.errors import InputError
from openalign.evaluate.metrics.vectors import Vectors


class Embedder(Protocol):
    """The part of an encoder that queries need."""

    @property
    def identity(self) -> str:
        """What an embedding depends on beside the image or text."""
        ...

    def embed_images(self, contents: Sequence[bytes]) -> Vectors:
        """Return a unit row for each encoded image."""
        ...

    def embed_texts(self, texts: Sequence[str], *, projected: bool = True) -> Vectors:
        """Return a unit row for each text: its embedding, or its state before the projection."""
        ...


class BulkEmbedder(Embedder, Protocol):
    """The same, with the two halves of `embed_images`, so that they can go on at the same time."""

    def pixels(self, contents: Sequence[bytes]) -> Any:
        """Return encoded images as a tensor on the CPU. Called from several threads."""
        ...

    def embed_pixels(self, pixels: Any) -> Vectors:
        """Return a unit row for each image of a tensor."""
        ...


def embed_named(embedder: Embedder, name: str, content: bytes) -> Vectors:
    """Return the unit vector of an image; `name` is what an error calls it.

    Raises:
        InputError: names the image that cannot be decoded or embedded.
    """
    try:
        return embedder.embed_images([content])[0]
    except InputError as error:
        raise InputError(f"{name}: {error}", hint=error.hint) from error
