"""Embeddings, made once: chunk by chunk, and never again while the chunk's content is the same.

    embeddings/<benchmark>-images.npy     unit rows, in the order of the benchmark's file
    embeddings/<benchmark>-captions.npy
    embeddings/<task>-<what>.npy          unit rows of a task's own texts, such as `words`
    embeddings/chunks.json                for each file the chunks it is made of: name, rows

A chunk's name is the hash of all it depends on: the model, how images and texts are prepared, the
libraries' versions, and the content of the images or texts. So a killed run goes on after its last
whole chunk, and a run with other intervals or examples embeds nothing.
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec
import numpy as np

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.results import library_versions
from openalign.evaluate.vectors import Vectors
from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of
from openalign.files.manifest import DataFile
from openalign.files.names import CHUNKS_FILE

CHUNK = 1024
"""Images or texts a chunk: the most that a kill can cost."""

_CHUNKS = msgspec.json.Decoder(dict[str, list[tuple[str, int, int]]])


class Embedder(Protocol):
    """The part of an encoder that is used here."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Unit rows, and the hash of the content that they were made from."""

    rows: Vectors
    content_hash: str


@dataclass(frozen=True, slots=True)
class _EarlierChunk:
    """Vectors of a file of embeddings."""

    file: str
    start: int
    stop: int


class EmbeddingStore:
    """The embeddings of one run: what it made, and what the last complete result has.

    `work` keeps a chunk from when it is made; `previous` is the folder of a complete result, whose
    chunks are taken as they are.
    """

    def __init__(self, work: str, previous: str | None = None) -> None:
        self._work = storage.join(work, "chunks")
        self._previous = previous or ""
        self._earlier = _earlier_chunks(previous) if previous else {}
        self._open = ("", np.empty((0, 0), dtype=np.float32))
        self._chunks: dict[str, list[tuple[str, Vectors]]] = {}

    def chunk(self, file: str, depends: Any, make: Callable[[], Vectors]) -> Vectors:
        """Return the next rows of a file; `make` is called when they are not at hand."""
        name = fingerprint_of([depends, library_versions()])[:32]
        url = storage.join(self._work, f"{name}.npy")
        if name in self._earlier:
            rows = self._from_previous(self._earlier[name])
        elif storage.exists(url):
            rows = _load(url)
        else:
            rows = make()
            storage.write_bytes(url, to_npy(rows))
        self._chunks.setdefault(file, []).append((name, rows))
        return rows

    def write(self, output: str) -> list[DataFile]:
        """Write every file that was asked for, and which chunks it is made of."""
        written: list[DataFile] = []
        listed: dict[str, list[tuple[str, int, int]]] = {}
        for file, chunks in self._chunks.items():
            rows = np.concatenate([rows for _, rows in chunks])
            written.append(write_rows(output, file, rows))
            stops = np.cumsum([len(rows) for _, rows in chunks]).tolist()
            listed[file] = [
                (name, stop - len(rows), stop)
                for (name, rows), stop in zip(chunks, stops, strict=True)
            ]
        text = json.dumps(listed, indent=1, sort_keys=True) + "\n"
        chunks_file = storage.write_text(storage.join(output, CHUNKS_FILE), text)
        return [*written, DataFile.of(CHUNKS_FILE, chunks_file, num_rows=len(listed))]

    def _from_previous(self, chunk: _EarlierChunk) -> Vectors:
        if self._open[0] != chunk.file:  # chunks are asked for in order: one file is held at a time
            self._open = (chunk.file, _load(storage.join(self._previous, chunk.file)))
        return self._open[1][chunk.start : chunk.stop]


def embed_images(
    embedder: Embedder,
    images: Sequence[BenchmarkImage],
    *,
    store: EmbeddingStore,
    file: str,
    batch_size: int,
) -> Embedded:
    """Return a row for each image.

    Raises:
        InputError: names the image that cannot be read, decoded or embedded.
    """
    parts: list[Vectors] = []
    digests: list[str] = []
    for start in range(0, len(images), CHUNK):
        of_chunk = images[start : start + CHUNK]
        contents = [image.place.read() for image in of_chunk]
        hashes = [hashlib.sha256(content).hexdigest() for content in contents]

        def embed(
            batch: slice,
            images: Sequence[BenchmarkImage] = of_chunk,
            contents: list[bytes] = contents,
        ) -> Vectors:
            names = [image.where for image in images[batch]]
            return embed_named(embedder, names, contents[batch])

        depends = [embedder.identity, batch_size, "images", hashes]
        make = partial(_in_batches, embed, len(contents), batch_size)
        parts.append(store.chunk(file, depends, make))
        digests += hashes
    return Embedded(rows=_together(parts), content_hash=fingerprint_of(digests))


def embed_texts(
    embedder: Embedder,
    texts: Sequence[str],
    *,
    store: EmbeddingStore,
    file: str,
    batch_size: int,
    projected: bool = True,
) -> Embedded:
    """Return a row for each text: its embedding, or its state before the projection.

    Raises:
        InputError: names the text whose embedding is not finite.
    """
    parts: list[Vectors] = []
    for start in range(0, len(texts), CHUNK):
        of_chunk = list(texts[start : start + CHUNK])

        def embed(batch: slice, texts: list[str] = of_chunk) -> Vectors:
            return embedder.embed_texts(texts[batch], projected=projected)

        depends = [embedder.identity, batch_size, "texts" if projected else "states", of_chunk]
        make = partial(_in_batches, embed, len(of_chunk), batch_size)
        parts.append(store.chunk(file, depends, make))
    return Embedded(rows=_together(parts), content_hash=fingerprint_of(list(texts)))


def _together(parts: Sequence[Vectors]) -> Vectors:
    return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)


def to_npy(rows: Vectors) -> bytes:
    """Return the bytes of a `.npy` file."""
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    return content.getvalue()


def write_rows(output: str, name: str, rows: Vectors) -> DataFile:
    """Write embeddings as a file of the stage's result."""
    written = storage.write_bytes(storage.join(output, name), to_npy(rows))
    return DataFile.of(name, written, num_rows=len(rows))


def _earlier_chunks(previous: str) -> dict[str, _EarlierChunk]:
    url = storage.join(previous, CHUNKS_FILE)
    if not storage.exists(url):
        return {}
    try:
        listed = _CHUNKS.decode(storage.read_bytes(url))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{url}: is not a list of chunks: {error}", hint="remove the file to embed anew"
        ) from error
    return {
        name: _EarlierChunk(file, start, stop)
        for file, chunks in listed.items()
        for name, start, stop in chunks
    }


def _load(url: str) -> Vectors:
    return np.load(io.BytesIO(storage.read_bytes(url)))


def _in_batches(embed: Callable[[slice], Vectors], num_items: int, batch_size: int) -> Vectors:
    batches = [slice(at, at + batch_size) for at in range(0, num_items, batch_size)]
    return np.concatenate([embed(batch) for batch in batches])


def embed_named(embedder: Embedder, names: Sequence[str], contents: Sequence[bytes]) -> Vectors:
    """Return a unit row for each image; `names` are what an error calls them.

    Raises:
        InputError: names the image that cannot be decoded or embedded.
    """
    try:
        return embedder.embed_images(contents)
    except InputError as error:
        for name, content in zip(names, contents, strict=True):
            try:
                embedder.embed_images([content])
            except InputError as cause:
                raise InputError(f"{name}: {cause}", hint=cause.hint) from error
        raise
