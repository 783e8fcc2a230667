"""Embeddings, made once: chunk by chunk, and never again while the chunk's content is the same.

A chunk's name is the hash of all it depends on: the model, how pictures and texts are prepared, and
the content of the pictures or texts. A killed run goes on after its last whole chunk.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from openalign import storage
from openalign.errors import InputError
from openalign.evaluate.retrieval import Rows
from openalign.hashing import fingerprint_of
from openalign.manifest import DataFile

CHUNK = 1024
"""Pictures or texts a chunk: the most that a kill can cost."""


class Embedder(Protocol):
    """The part of an encoder that is used here."""

    @property
    def identity(self) -> str:
        """What an embedding depends on beside the picture or text."""
        ...

    def embed_images(self, contents: Sequence[bytes]) -> Rows:
        """Return a unit row for each encoded picture."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Rows:
        """Return a unit row for each text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Unit rows, and the hash of the content that they were made from."""

    rows: Rows
    content_hash: str


def embed_images(
    embedder: Embedder, urls: Sequence[str], *, folder: str, batch_size: int
) -> Embedded:
    """Return a row for each picture; `folder` keeps the chunks.

    Raises:
        InputError: names the picture that cannot be read or decoded.
    """
    parts: list[Rows] = []
    digests: list[str] = []
    for start in range(0, len(urls), CHUNK):
        of_chunk = urls[start : start + CHUNK]
        contents = [storage.read_bytes(url) for url in of_chunk]
        hashes = [hashlib.sha256(content).hexdigest() for content in contents]

        def embed(
            batch: slice, urls: Sequence[str] = of_chunk, contents: list[bytes] = contents
        ) -> Rows:
            return _embed_named(embedder, urls[batch], contents[batch])

        depends = [embedder.identity, batch_size, "images", hashes]
        parts.append(_chunk(folder, depends, len(contents), batch_size, embed))
        digests += hashes
    return Embedded(rows=np.concatenate(parts), content_hash=fingerprint_of(digests))


def embed_texts(
    embedder: Embedder, texts: Sequence[str], *, folder: str, batch_size: int
) -> Embedded:
    """Return a row for each text; `folder` keeps the chunks."""
    parts: list[Rows] = []
    for start in range(0, len(texts), CHUNK):
        of_chunk = list(texts[start : start + CHUNK])

        def embed(batch: slice, texts: list[str] = of_chunk) -> Rows:
            return embedder.embed_texts(texts[batch])

        depends = [embedder.identity, batch_size, "texts", of_chunk]
        parts.append(_chunk(folder, depends, len(of_chunk), batch_size, embed))
    return Embedded(rows=np.concatenate(parts), content_hash=fingerprint_of(list(texts)))


def to_npy(rows: Rows) -> bytes:
    """Return the bytes of a `.npy` file."""
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    return content.getvalue()


def write_rows(output: str, name: str, rows: Rows) -> DataFile:
    """Write embeddings as a file of the stage's result."""
    written = storage.write_bytes(storage.join(output, name), to_npy(rows))
    return DataFile(
        name=name, num_rows=len(rows), num_bytes=written.num_bytes, sha256=written.sha256
    )


def _chunk(
    folder: str, depends: Any, num_items: int, batch_size: int, embed: Callable[[slice], Rows]
) -> Rows:
    url = storage.join(folder, f"{fingerprint_of(depends)[:32]}.npy")
    if storage.exists(url):
        return np.load(io.BytesIO(storage.read_bytes(url)))
    batches = [slice(at, at + batch_size) for at in range(0, num_items, batch_size)]
    rows = np.concatenate([embed(batch) for batch in batches])
    storage.write_bytes(url, to_npy(rows))
    return rows


def _embed_named(embedder: Embedder, urls: Sequence[str], contents: Sequence[bytes]) -> Rows:
    """Embed pictures; where one cannot be decoded, say which."""
    try:
        return embedder.embed_images(contents)
    except InputError as error:
        for url, content in zip(urls, contents, strict=True):
            try:
                embedder.embed_images([content])
            except InputError as cause:
                raise InputError(f"{url}: {cause}") from error
        raise
