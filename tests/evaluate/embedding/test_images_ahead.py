"""Reading and decoding while the model works: what overlaps, and what memory holds meanwhile."""

import hashlib
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from embedding_works import Lengths, work_of
from torch import Tensor

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.embedding import chunks, images_ahead
from openalign.evaluate.metrics.vectors import Vectors


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
