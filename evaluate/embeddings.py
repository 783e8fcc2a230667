"""Embeddings, made once: chunk by chunk, and never again while the chunk's content is the same.

    embeddings/<dataset>-images.npy     unit rows, in the order of the benchmark's file
    embeddings/<dataset>-captions.npy
    embeddings/<composed>-words.npy     unit rows of the words of composed queries, sorted
    embeddings/chunks.json              for each file the chunks it is made of: name, rows

A chunk's name is the hash of all it depends on: the model, how pictures and texts are prepared, the
libraries' versions, and the content of the pictures or texts. So a killed run goes on after its
last whole chunk, and a run with other intervals or examples embeds nothing.
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from openalign.errors import InputError
from openalign.evaluate.results import library_versions
from openalign.evaluate.retrieval import Rows
from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of
from openalign.files.manifest import DataFile

CHUNK = 1024
"""Pictures or texts a chunk: the most that a kill can cost."""

CHUNKS = "embeddings/chunks.json"


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


@dataclass(frozen=True, slots=True)
class _Place:
    """Rows of a file of embeddings."""

    file: str
    start: int
    stop: int


class Store:
    """The embeddings of one run: what it made, and what the last complete result has.

    `work` keeps a chunk from when it is made; `previous` is the folder of a complete result, whose
    chunks are taken as they are.
    """

    def __init__(self, work: str, previous: str | None = None) -> None:
        self._work = storage.join(work, "chunks")
        self._previous = previous or ""
        self._earlier = _read_places(previous) if previous else {}
        self._open = ("", np.empty((0, 0), dtype=np.float32))
        self._chunks: dict[str, list[tuple[str, Rows]]] = {}

    def chunk(self, file: str, depends: Any, make: Callable[[], Rows]) -> Rows:
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
        places: dict[str, list[tuple[str, int, int]]] = {}
        for file, chunks in self._chunks.items():
            rows = np.concatenate([rows for _, rows in chunks])
            written.append(write_rows(output, file, rows))
            stops = np.cumsum([len(rows) for _, rows in chunks]).tolist()
            places[file] = [
                (name, stop - len(rows), stop)
                for (name, rows), stop in zip(chunks, stops, strict=True)
            ]
        text = json.dumps(places, indent=1, sort_keys=True) + "\n"
        listed = storage.write_text(storage.join(output, CHUNKS), text)
        num_bytes, sha256 = listed.num_bytes, listed.sha256
        return [
            *written,
            DataFile(name=CHUNKS, num_rows=len(places), num_bytes=num_bytes, sha256=sha256),
        ]

    def _from_previous(self, place: _Place) -> Rows:
        if self._open[0] != place.file:  # chunks are asked for in order: one file is held at a time
            self._open = (place.file, _load(storage.join(self._previous, place.file)))
        return self._open[1][place.start : place.stop]


def embeddings_name(name: str, what: str) -> str:
    """Return the name of a file of embeddings: `what` is `images`, `captions` or `words`."""
    return f"embeddings/{name}-{what}.npy"


def embed_images(
    embedder: Embedder, urls: Sequence[str], *, store: Store, file: str, batch_size: int
) -> Embedded:
    """Return a row for each picture.

    Raises:
        InputError: names the picture that cannot be read, decoded or embedded.
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
            return embed_named(embedder, urls[batch], contents[batch])

        depends = [embedder.identity, batch_size, "images", hashes]
        make = partial(_in_batches, embed, len(contents), batch_size)
        parts.append(store.chunk(file, depends, make))
        digests += hashes
    return Embedded(rows=np.concatenate(parts), content_hash=fingerprint_of(digests))


def embed_texts(
    embedder: Embedder, texts: Sequence[str], *, store: Store, file: str, batch_size: int
) -> Embedded:
    """Return a row for each text.

    Raises:
        InputError: names the text whose embedding is not finite.
    """
    parts: list[Rows] = []
    for start in range(0, len(texts), CHUNK):
        of_chunk = list(texts[start : start + CHUNK])

        def embed(batch: slice, texts: list[str] = of_chunk) -> Rows:
            return embedder.embed_texts(texts[batch])

        depends = [embedder.identity, batch_size, "texts", of_chunk]
        make = partial(_in_batches, embed, len(of_chunk), batch_size)
        parts.append(store.chunk(file, depends, make))
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


def _read_places(previous: str) -> dict[str, _Place]:
    url = storage.join(previous, CHUNKS)
    if not storage.exists(url):
        return {}
    places: dict[str, list[tuple[str, int, int]]] = json.loads(storage.read_bytes(url))
    return {
        name: _Place(file, start, stop)
        for file, chunks in places.items()
        for name, start, stop in chunks
    }


def _load(url: str) -> Rows:
    return np.load(io.BytesIO(storage.read_bytes(url)))


def _in_batches(embed: Callable[[slice], Rows], num_items: int, batch_size: int) -> Rows:
    batches = [slice(at, at + batch_size) for at in range(0, num_items, batch_size)]
    return np.concatenate([embed(batch) for batch in batches])


def embed_named(embedder: Embedder, urls: Sequence[str], contents: Sequence[bytes]) -> Rows:
    """Return a unit row for each picture.

    Raises:
        InputError: names the picture that cannot be decoded or embedded.
    """
    try:
        return embedder.embed_images(contents)
    except InputError as error:
        for url, content in zip(urls, contents, strict=True):
            try:
                embedder.embed_images([content])
            except InputError as cause:
                raise InputError(f"{url}: {cause}", hint=cause.hint) from error
        raise
