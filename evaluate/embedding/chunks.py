"""Chunks of embeddings: made once, and never again while what they depend on is the same.

    embeddings/<benchmark>-images.npy     unit rows, in the order of the benchmark's file
    embeddings/<benchmark>-captions.npy
    embeddings/<task>-<what>.npy          unit rows of a task's own texts, such as `words`
    embeddings/chunks.json                for each file the chunks it is made of: name, first row,
                                          the row after the last, images that cannot be decoded
    work/chunks/<name>.npy                a chunk, until the stage is sealed
    work/chunks/<name>.json               its hash, and its images that cannot be decoded

A name is `<how>-<what>`. `how` is the hash of the model, of how images and texts are prepared, of
the libraries' versions and of how batches are cut; `what` is the hash of the images or texts. So a
killed run goes on after its last whole chunk, whichever process made it. What is not as it was
written is made anew: a power loss can leave files with zeros in them.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from tokenize import TokenError

import msgspec
import numpy as np

from openalign.errors import InputError
from openalign.evaluate.metrics.vectors import Vectors
from openalign.evaluate.results import made_anew
from openalign.files import storage
from openalign.files.manifest import DataFile
from openalign.files.names import CHUNKS_FILE
from openalign.files.sealed import SealedFiles
from openalign.telemetry import say

CHUNK = 1024
"""Images or texts a chunk: the most that the kill of a process can cost."""

_HEADER_BYTES = 256
"""More than the header of any `.npy` file of rows."""

_FLOAT_BYTES = 4
_NUM_AXES = 2


class Unreadable(msgspec.Struct, frozen=True, array_like=True):
    """An image that cannot be decoded, so that it has no row."""

    place: int
    """In its chunk."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk that is there."""

    name: str
    num_rows: int
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def content_hash(self) -> str:
        """Over the images or texts."""
        return self.name.partition("-")[2]


class _Listed(msgspec.Struct, frozen=True, array_like=True):
    """A chunk of a file of embeddings, as `chunks.json` has it."""

    name: str
    start: int
    stop: int
    unreadable: tuple[Unreadable, ...] = ()


class _KeptChunk(msgspec.Struct, frozen=True, array_like=True):
    """What lies beside a chunk until the stage is sealed."""

    sha256: str
    """Of the chunk's file."""

    unreadable: tuple[Unreadable, ...]


@dataclass(frozen=True, slots=True)
class _RowRange:
    """Some rows of a file of the complete result."""

    file: str
    start: int
    stop: int


_LISTS = msgspec.json.Decoder(dict[str, list[_Listed]])
_KEPT_CHUNK = msgspec.json.Decoder(_KeptChunk)


class ChunkStore:
    """The chunks of one run: what its processes made, and what the last complete result has.

    `work` keeps a chunk from when it is made. `previous` is a complete result, whose chunks are
    taken as they are, but for those in files that `leave_out` names.
    """

    def __init__(self, work: str, previous: SealedFiles | None = None) -> None:
        self._work = storage.join(work, "chunks")
        self._previous = previous
        self._earlier: dict[str, tuple[Chunk, _RowRange]] = _read_list(previous) if previous else {}
        self._files: dict[str, list[Chunk]] = {}
        self._written: list[DataFile] = []

    def damaged_files(self, hows: Sequence[str]) -> list[str]:
        """Return the complete result's files that are not as they were written, and say so.

        Files without a chunk that was made in one of these ways are of no use, and are not read.
        """
        previous = self._previous
        if previous is None:
            return []
        useful = {
            place.file for name, (_, place) in self._earlier.items() if name.startswith(tuple(hows))
        }
        damaged = [file for file in sorted(useful) if not previous.is_whole(file)]
        for file in damaged:
            _say_damaged(storage.join(previous.folder, file))
        return damaged

    def leave_out(self, files: Sequence[str]) -> None:
        """Take no chunk from these files of the complete result."""
        self._earlier = {
            name: (chunk, place)
            for name, (chunk, place) in self._earlier.items()
            if place.file not in files
        }

    def find(self, name: str) -> Chunk | None:
        """Return a chunk that is there, as it was written."""
        if name in self._earlier:
            return self._earlier[name][0]
        url = self._url(name)
        if not storage.exists(url):
            return None
        try:
            kept = _KEPT_CHUNK.decode(storage.read_bytes(storage.join(self._work, f"{name}.json")))
        except (InputError, msgspec.DecodeError, UnicodeDecodeError):
            kept = None
        if kept is None or storage.sha256_of(url) != kept.sha256:
            _say_damaged(url)
            return None
        (num_rows, _), _ = _shape_of(url)
        return Chunk(name=name, num_rows=num_rows, unreadable=kept.unreadable)

    def count(self, how: str) -> int:
        """Return how many chunks are there that were made in one way."""
        made = storage.list_names(self._work) if storage.exists(self._work) else []
        names = {name.removesuffix(".npy") for name in made if name.endswith(".npy")}
        return sum(name.startswith(f"{how}-") for name in names | self._earlier.keys())

    def write(self, name: str, rows: Vectors, unreadable: Sequence[Unreadable] = ()) -> Chunk:
        """Keep a chunk that was made."""
        content = _npy(rows)
        kept = _KeptChunk(hashlib.sha256(content).hexdigest(), tuple(unreadable))
        # Before the rows, which say that the chunk is there.
        storage.write_bytes(storage.join(self._work, f"{name}.json"), msgspec.json.encode(kept))
        storage.write_bytes(self._url(name), content)
        return Chunk(name=name, num_rows=len(rows), unreadable=tuple(unreadable))

    def rows(self, chunk: Chunk) -> Vectors:
        """Read the rows of one chunk."""
        url, start = self._url(chunk.name), 0
        if self._previous is not None and chunk.name in self._earlier:
            place = self._earlier[chunk.name][1]
            url, start = storage.join(self._previous.folder, place.file), place.start
        (_, width), offset = _shape_of(url)
        row_bytes = width * _FLOAT_BYTES
        content = storage.read_range(url, offset + start * row_bytes, chunk.num_rows * row_bytes)
        return np.frombuffer(content, dtype="<f4").reshape(chunk.num_rows, width)

    def write_file(self, output: str, file: str, chunks: Sequence[Chunk]) -> Vectors:
        """Write a file of embeddings, a chunk at a time, and return its rows, mapped from disk."""
        self._files[file] = list(chunks)
        num_rows = sum(chunk.num_rows for chunk in chunks)
        with storage.local_target(storage.join(output, file)) as target:
            _copy(self, chunks, target.path, num_rows)
            # Once mapped, the rows stay, whatever becomes of the file's name. Changes would stay in
            # memory.
            mapped = np.load(target.path, mmap_mode="c") if num_rows else np.load(target.path)
        self._written.append(DataFile.of(file, target.written, num_rows=num_rows))
        return np.asarray(mapped)

    def write_list(self, output: str) -> list[DataFile]:
        """Write which chunks the files are made of; return the records of all that was written."""
        listed: dict[str, list[_Listed]] = {}
        for file, chunks in self._files.items():
            stops = np.cumsum([chunk.num_rows for chunk in chunks]).tolist()
            listed[file] = [
                _Listed(chunk.name, stop - chunk.num_rows, stop, chunk.unreadable)
                for chunk, stop in zip(chunks, stops, strict=True)
            ]
        plain = msgspec.to_builtins(listed)
        text = json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        written = storage.write_text(storage.join(output, CHUNKS_FILE), text)
        return [*self._written, DataFile.of(CHUNKS_FILE, written, num_rows=len(listed))]

    def _url(self, name: str) -> str:
        return storage.join(self._work, f"{name}.npy")


def write_rows(url: str, rows: Vectors) -> storage.Written:
    """Write embeddings that are in memory."""
    return storage.write_bytes(url, _npy(rows))


def _npy(rows: Vectors) -> bytes:
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    return content.getvalue()


def load_rows(url: str) -> Vectors:
    """Return the rows of a file of embeddings, mapped from disk; a remote file is copied there.

    Raises:
        InputError: it is not there, or holds no rows.
    """
    try:
        with storage.local_copy(url) as path:  # once mapped, the rows outlive the copy's name
            rows = np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
    except (FileNotFoundError, ValueError, EOFError, SyntaxError, TokenError) as error:
        raise InputError(f"{url}: holds no embeddings: {error}", hint=made_anew(url)) from error
    if rows.ndim != _NUM_AXES or rows.dtype != np.float32:
        raise InputError(
            f"{url}: holds no embeddings: it has shape {rows.shape} and type {rows.dtype}",
            hint=made_anew(url),
        )
    return rows


def _copy(store: ChunkStore, chunks: Sequence[Chunk], path: str, num_rows: int) -> None:
    """Write the rows of chunks into a file, and hold one chunk at a time."""
    parts = (store.rows(chunk) for chunk in chunks if chunk.num_rows)
    first = next(parts, None)
    if first is None:
        with open(path, "wb") as sink:  # noqa: PTH123  # a name would get the ending `.npy`
            np.save(sink, np.empty((0, 0), dtype=np.float32), allow_pickle=False)
        return
    shape = (num_rows, first.shape[1])
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    at = 0
    for part in chain([first], parts):
        rows[at : at + len(part)] = part
        at += len(part)
    rows.flush()


def _shape_of(url: str) -> tuple[tuple[int, int], int]:
    """Return rows and width of a `.npy` file, and where its rows begin."""
    header = io.BytesIO(storage.read_range(url, 0, _HEADER_BYTES))
    np.lib.format.read_magic(header)
    (num_rows, width), _, _ = np.lib.format.read_array_header_1_0(header)
    return (num_rows, width), header.tell()


def _read_list(previous: SealedFiles) -> dict[str, tuple[Chunk, _RowRange]]:
    url = storage.join(previous.folder, CHUNKS_FILE)
    if all(file.name != CHUNKS_FILE for file in previous.files):
        return {}
    if not previous.is_whole(CHUNKS_FILE):
        _say_damaged(url)
        return {}
    return {
        each.name: (
            Chunk(name=each.name, num_rows=each.stop - each.start, unreadable=each.unreadable),
            _RowRange(file, each.start, each.stop),
        )
        for file, chunks in _LISTS.decode(storage.read_bytes(url)).items()
        for each in chunks
    }


def _say_damaged(url: str) -> None:
    say(f"evaluate  {url} is not as it was written: what it held is embedded anew")
