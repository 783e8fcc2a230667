"""Reading and decoding while the model works: what overlaps, and what memory holds meanwhile."""

import hashlib
import io
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from embedding_works import Lengths, work_of
from PIL import Image
from torch import Tensor
from torch.overrides import TorchFunctionMode

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.embedding import chunks, images_ahead
from openalign.evaluate.metrics.vectors import Vectors
from openalign.train.data.image_processor import ImageProcessor
from openalign.train.data.preprocess import Preprocess


@dataclass
class InMemory:
    """The place of an image that counts how often it is read."""

    file: str
    contents: list[bytes]
    """What each read returns; the last of them again and again."""

    reads: Counter[str] = field(default_factory=Counter[str])

    def read(self) -> bytes:
        self.reads[self.file] += 1
        return self.contents.pop(0) if len(self.contents) > 1 else self.contents[0]


def images(*contents: bytes, reads: Counter[str] | None = None) -> list[BenchmarkImage]:
    counter = Counter[str]() if reads is None else reads
    return [
        BenchmarkImage(name=str(n), split="test", place=InMemory(str(n), [content], counter))
        for n, content in enumerate(contents)
    ]


def test_later_images_are_decoded_while_the_model_works_on_earlier_ones(tmp_path: Path) -> None:
    """The first batch ends when an image of the next chunk is decoded, or the test fails."""
    later = threading.Event()

    class Waits(Lengths):
        def pixels(self, contents: Sequence[bytes]) -> Tensor:
            if contents[0] == b"the next chunk":
                later.set()
            return super().pixels(contents)

        def embed_pixels(self, pixels: Tensor) -> Vectors:
            assert later.wait(60), "nothing is decoded ahead of the model"
            return super().embed_pixels(pixels)

    chunk = [b"x"] * chunks.CHUNK
    work = work_of(Waits(), tmp_path, batch_size=chunks.CHUNK)

    made = work.images({"rows.npy": images(*chunk, b"the next chunk")})

    assert len(made["rows.npy"]) == 2


def test_memory_holds_the_pixels_of_a_few_batches(tmp_path: Path) -> None:
    """Two wait, one has no place to wait yet, and one is with the model."""
    decoded: list[int] = []
    ahead: list[int] = []

    class Counts(Lengths):
        def pixels(self, contents: Sequence[bytes]) -> Tensor:
            decoded.append(len(contents))
            return super().pixels(contents)

        def embed_pixels(self, pixels: Tensor) -> Vectors:
            ahead.append(len(decoded) - sum(self.batches))
            return super().embed_pixels(pixels)

    work_of(Counts(), tmp_path, batch_size=5).images({"rows.npy": images(*([b"x"] * 300))})

    assert sum(decoded) == 300
    assert max(ahead) <= 4 * 5


def test_bytes_that_memory_may_not_hold_are_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_ahead, "_HELD_BYTES", 8)
    reads = Counter[str]()
    work = work_of(Lengths(), tmp_path)

    (chunk,) = work.images({"rows.npy": images(*([b"1234"] * 6), reads=reads)})["rows.npy"]

    assert work.store.rows(chunk)[:, 0].tolist() == [4] * 6
    assert sorted(reads.values()) == [1, 1, 2, 2, 2, 2]  # there is room for two


def test_an_image_that_changes_between_two_reads_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_ahead, "_HELD_BYTES", 0)
    place = InMemory("a.png", [b"before", b"after"])
    image = BenchmarkImage(name="a.png", split="test", place=place)

    with pytest.raises(InputError, match=r"a\.png was changed while it was read"):
        work_of(Lengths(), tmp_path).images({"rows.npy": [image]})


def test_a_chunk_that_is_there_is_hashed_and_not_decoded(tmp_path: Path) -> None:
    wanted = {"rows.npy": images(b"one", b"broken")}
    first = work_of(Lengths(), tmp_path).images(wanted)

    class Refuses(Lengths):
        def pixels(self, contents: Sequence[bytes]) -> Tensor:
            raise AssertionError(f"{hashlib.sha256(contents[0])} is decoded")

    assert work_of(Refuses(), tmp_path).images(wanted) == first


def test_reasons_name_no_place_in_memory(tmp_path: Path) -> None:
    class Says(Lengths):
        def pixels(self, contents: Sequence[bytes]) -> Tensor:
            raise InputError("cannot identify <_io.BytesIO object at 0x7f2ab34c10>")

    (chunk,) = work_of(Says(), tmp_path).images({"rows.npy": images(b"x")})["rows.npy"]

    assert chunk.unreadable[0].reason == "cannot identify <_io.BytesIO object>"


class Colors(Lengths):
    """An embedder whose images are of four pixels; it keeps the batches that it was given."""

    def __init__(self, *, channels_last: Sequence[bytes]) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.channels_last = channels_last

    def pixels(self, contents: Sequence[bytes]) -> Tensor:
        [content] = contents
        image = torch.arange(12, dtype=torch.float32).add(content[0]).reshape(1, 3, 2, 2)
        is_last = content in self.channels_last
        return image.to(memory_format=torch.channels_last) if is_last else image

    def embed_pixels(self, pixels: Tensor) -> Vectors:
        self.seen.append(pixels)
        return np.ones((len(pixels), 2), dtype=np.float32)


@pytest.mark.parametrize(
    ("channels_last", "expected"),
    [
        pytest.param([b"a", b"b", b"c"], torch.channels_last, id="channels last"),
        pytest.param([], torch.contiguous_format, id="channels first"),
        pytest.param([b"a"], torch.channels_last, id="as the first of them"),
    ],
)
def test_a_batch_holds_its_images_in_their_order_and_layout(
    channels_last: Sequence[bytes], expected: torch.memory_format, tmp_path: Path
) -> None:
    embedder = Colors(channels_last=channels_last)

    work_of(embedder, tmp_path).images({"rows.npy": images(b"a", b"b", b"c")})

    [batch] = embedder.seen
    assert batch.shape == (3, 3, 2, 2)
    assert torch.equal(batch, torch.cat([embedder.pixels([each]) for each in (b"a", b"b", b"c")]))
    assert batch.is_contiguous(memory_format=expected)


class Calls(TorchFunctionMode):
    """Notes which of Torch's functions a thread calls."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        self.names.add(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("prepared", [Preprocess(), ImageProcessor()], ids=["ours", "a processor"])
def test_threads_that_decode_compute_nothing_with_torch(
    prepared: Preprocess | ImageProcessor,
) -> None:
    """Torch would start a team of threads in each of them.

    It starts none to resize one image of bytes whose channels lie last, if there is AVX2.
    """
    sink = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(sink, "PNG")

    with Calls() as calls:
        batch = images_ahead._concatenated([prepared.pixels([sink.getvalue()])] * 2)

    assert len(batch) == 2
    assert calls.names <= {"from_numpy", "interpolate", "numpy", "permute", "unsqueeze"}
