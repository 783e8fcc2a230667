"""Images, read and decoded by threads ahead of the model, so that it does not wait for them.

A chunk is read once to be hashed. If its embeddings are missing, it is decoded, batch by batch, and
the reading of the next chunk goes on meanwhile. Memory holds the bytes of two chunks, within a
bound; what is beyond it is read a second time. And it holds the pixels of a few batches.
"""

import hashlib
import re
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.embedding.chunks import Chunk, ChunkStore, Unreadable
from openalign.evaluate.embedding.embedder import BulkEmbedder
from openalign.files.fingerprints import fingerprint_of
from openalign.read_ahead import made_ahead

if TYPE_CHECKING:
    from torch import Tensor

_BATCHES_AHEAD = 2
_HELD_BYTES = 256 << 20
"""Of the encoded images of a chunk."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""In a decoder's words: where an object lay in memory, which results must not name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedBatch:
    """Images as the model takes them."""

    images: Sequence[BenchmarkImage]
    """Those that can be decoded."""

    pixels: "Tensor | None"
    """None where there is none."""

    unreadable: Sequence[Unreadable]
    num_images: int
    """With those that cannot be decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedBatch:
    """A batch that threads are at work on."""

    chunk: str
    """Name of its chunk."""

    is_last: bool
    """In its chunk."""

    decoded: "Future[DecodedBatch]"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChunk:
    """A chunk whose embeddings are there."""

    chunk: Chunk
    num_images: int


@dataclass(frozen=True, slots=True)
class _Read:
    sha256: str
    content: bytes | None
    """None where there was no room to keep it."""


class ImagesAhead:
    """Reads and decodes chunks of images, in their order."""

    def __init__(
        self,
        embedder: BulkEmbedder,
        store: ChunkStore,
        *,
        how: str,
        batch_size: int,
        num_threads: int,
    ) -> None:
        self._embedder = embedder
        self._store = store
        self._how = how
        self._batch_size = batch_size
        self._num_threads = num_threads

    @contextmanager
    def started(
        self, chunks: Sequence[Sequence[BenchmarkImage]]
    ) -> Generator[Iterator[AwaitedBatch | FoundChunk]]:
        """Start the threads; yield, in order, each chunk that is there and each batch to embed.

        Awaiting a batch raises InputError if an image of it cannot be read.
        """
        with ExitStack() as held:
            pools = [
                ThreadPoolExecutor(self._num_threads, thread_name_prefix=name)
                for name in ("read", "decode")
            ]
            for pool in pools:
                held.callback(pool.shutdown, cancel_futures=True)
            items = made_ahead(self._items(chunks, *pools), num_ahead=_BATCHES_AHEAD, name="images")
            yield held.enter_context(closing(items))

    def _items(
        self,
        chunks: Sequence[Sequence[BenchmarkImage]],
        readers: ThreadPoolExecutor,
        decoders: ThreadPoolExecutor,
    ) -> Iterator[AwaitedBatch | FoundChunk]:
        reading: deque[tuple[Sequence[BenchmarkImage], list[Future[_Read]]]] = deque()
        for images in chunks:
            room = _Room(_HELD_BYTES)
            reading.append((images, [readers.submit(_read, image, room) for image in images]))
            if len(reading) > 1:
                yield from self._decoded(*reading.popleft(), decoders)
        for images, read in reading:
            yield from self._decoded(images, read, decoders)

    def _decoded(
        self,
        images: Sequence[BenchmarkImage],
        reading: "list[Future[_Read]]",
        decoders: ThreadPoolExecutor,
    ) -> Iterator[AwaitedBatch | FoundChunk]:
        read = [each.result() for each in reading]
        reading.clear()  # the images' bytes go as soon as they are decoded
        name = f"{self._how}-{fingerprint_of([each.sha256 for each in read])[:32]}"
        found = self._store.find(name)
        if found is not None:
            yield FoundChunk(chunk=found, num_images=len(images))
            return
        starts = range(0, len(images), self._batch_size)
        for start in starts:
            stop = min(start + self._batch_size, len(images))
            parts: list[tuple[int, BenchmarkImage, Future[Tensor | str]]] = []
            for place in range(start, stop):
                image, read[place], of_image = images[place], _NOTHING, read[place]
                parts.append((place, image, decoders.submit(self._decode, image, of_image)))
            # The pool works in the order of submission, so the parts never wait for what waits for
            # them.
            decoded = decoders.submit(_together, parts, stop - start)
            yield AwaitedBatch(chunk=name, is_last=start == starts[-1], decoded=decoded)

    def _decode(self, image: BenchmarkImage, read: _Read) -> "Tensor | str":
        """Return an image's pixels, or why it cannot be decoded."""
        content = read.content
        if content is None:
            content = _content_of(image)
            if hashlib.sha256(content).hexdigest() != read.sha256:
                raise InputError(f"{image.where} was changed while it was read")
        try:
            return self._embedder.pixels([content])
        except InputError as error:
            return _ADDRESS.sub("", str(error))


class _Room:
    """Bytes that may be kept in memory."""

    def __init__(self, num_bytes: int) -> None:
        self._left = num_bytes
        self._lock = threading.Lock()

    def take(self, num_bytes: int) -> bool:
        """Take some of it, if there is as much."""
        with self._lock:
            if num_bytes > self._left:
                return False
            self._left -= num_bytes
            return True


_NOTHING = _Read("", None)
"""Takes the place of what is not needed any more."""


def _read(image: BenchmarkImage, room: _Room) -> _Read:
    content = _content_of(image)
    kept = content if room.take(len(content)) else None
    return _Read(hashlib.sha256(content).hexdigest(), kept)


def _content_of(image: BenchmarkImage) -> bytes:
    """Return an image's bytes.

    Raises:
        InputError: names the image that cannot be read.
    """
    try:
        return image.place.read()
    except OSError as error:
        raise InputError(f"{image.where} cannot be read: {error.strerror or error}") from error


def _together(
    parts: "Sequence[tuple[int, BenchmarkImage, Future[Tensor | str]]]", num_images: int
) -> DecodedBatch:
    """Wait for images and return them as one tensor."""
    images: list[BenchmarkImage] = []
    tensors: list[Tensor] = []
    unreadable: list[Unreadable] = []
    for place, image, part in parts:
        result = part.result()
        if isinstance(result, str):
            unreadable.append(Unreadable(place, result))
        else:
            images.append(image)
            tensors.append(result)
    return DecodedBatch(
        images=images,
        pixels=_concatenated(tensors) if tensors else None,
        unreadable=unreadable,
        num_images=num_images,
    )


def _concatenated(tensors: "Sequence[Tensor]") -> "Tensor":
    """Return images in one tensor, laid out in memory as they are.

    NumPy does it, on this thread: Torch would start a team of threads for each decoding thread, and
    they spin.
    """
    import torch

    images = [tensor.numpy() for tensor in tensors]
    shape = (sum(map(len, images)), *images[0].shape[1:])
    return torch.from_numpy(np.concatenate(images, out=np.empty_like(images[0], shape=shape)))
