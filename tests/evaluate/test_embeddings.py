from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from openalign.errors import InputError
from openalign.evaluate import embeddings
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.embeddings import EmbeddingStore, embed_images, embed_texts
from openalign.evaluate.vectors import Vectors


class Lengths:
    """An embedder whose rows are lengths; it counts what it was asked for."""

    def __init__(self, identity: str = "one") -> None:
        self.identity = identity
        self.batches: list[int] = []

    def embed_images(self, contents: Sequence[bytes]) -> Vectors:
        if b"broken" in contents:
            raise InputError("an image cannot be decoded: it is broken")
        return self.embed_texts([content.decode() for content in contents])

    def embed_texts(self, texts: Sequence[str], *, projected: bool = True) -> Vectors:
        self.batches.append(len(texts))
        return np.array([[len(text), float(projected)] for text in texts], dtype=np.float32)


def image_at(path: Path) -> BenchmarkImage:
    place = ImageFile(str(path.parent), path.name)
    return BenchmarkImage(name=path.name, split="test", place=place)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "CHUNK", 4)


TEXTS = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"]


def test_chunks_are_cut_into_batches_and_keep_the_order(tmp_path: Path) -> None:
    embedder = Lengths()

    found = embed_texts(
        embedder, TEXTS, store=EmbeddingStore(str(tmp_path)), file="rows.npy", batch_size=3
    )

    assert found.rows[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert embedder.batches == [3, 1, 2]


def test_what_is_there_is_not_embedded_again(tmp_path: Path) -> None:
    first = embed_texts(
        Lengths(), TEXTS, store=EmbeddingStore(str(tmp_path)), file="rows.npy", batch_size=3
    )
    again = Lengths()

    second = embed_texts(
        again, TEXTS, store=EmbeddingStore(str(tmp_path)), file="rows.npy", batch_size=3
    )

    assert again.batches == []
    assert second.rows.tolist() == first.rows.tolist()


def test_only_a_chunk_that_is_lost_is_embedded_again(tmp_path: Path) -> None:
    embed_texts(
        Lengths(), TEXTS[:4], store=EmbeddingStore(str(tmp_path)), file="rows.npy", batch_size=3
    )
    after_kill = Lengths()

    found = embed_texts(
        after_kill, TEXTS, store=EmbeddingStore(str(tmp_path)), file="rows.npy", batch_size=3
    )

    assert after_kill.batches == [2]
    assert found.rows[:, 0].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("embedder", "texts", "batch_size"),
    [
        pytest.param(Lengths("two"), TEXTS[:4], 3, id="another model"),
        pytest.param(Lengths(), [*TEXTS[:3], "x"], 3, id="another text"),
        pytest.param(Lengths(), TEXTS[:4], 2, id="another batch size"),
    ],
)
def test_a_chunk_is_only_reused_for_what_it_was_made_of(
    tmp_path: Path, embedder: Lengths, texts: list[str], batch_size: int
) -> None:
    embedder.batches.clear()
    embed_texts(
        Lengths(), TEXTS[:4], store=EmbeddingStore(str(tmp_path)), file="rows.npy", batch_size=3
    )

    embed_texts(
        embedder, texts, store=EmbeddingStore(str(tmp_path)), file="rows.npy", batch_size=batch_size
    )

    assert sum(embedder.batches) == 4


def test_chunks_of_an_earlier_result_are_used_each_by_itself(tmp_path: Path) -> None:
    store = EmbeddingStore(str(tmp_path / "work"))
    embed_texts(Lengths(), TEXTS, store=store, file="embeddings/a.npy", batch_size=3)
    store.write(str(tmp_path / "result"))
    again = Lengths()

    found = embed_texts(
        again,
        ["x", "xx", "xxx", "xxxx", *TEXTS[4:]],  # the first chunk of four changed
        store=EmbeddingStore(str(tmp_path / "elsewhere"), str(tmp_path / "result")),
        file="embeddings/b.npy",
        batch_size=3,
    )

    assert again.batches == [3, 1]
    assert found.rows[:, 0].tolist() == [1, 2, 3, 4, 5, 6]


def test_an_earlier_result_without_chunks_is_of_no_use(tmp_path: Path) -> None:
    embedder = Lengths()
    store = EmbeddingStore(str(tmp_path / "work"), str(tmp_path / "nothing"))

    embed_texts(embedder, TEXTS, store=store, file="rows.npy", batch_size=3)

    assert sum(embedder.batches) == 6


def test_chunks_of_other_libraries_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_texts(
        Lengths(), TEXTS, store=EmbeddingStore(str(tmp_path)), file="rows.npy", batch_size=3
    )
    monkeypatch.setattr(embeddings, "library_versions", lambda: {"torch": "0"})
    embedder = Lengths()

    embed_texts(embedder, TEXTS, store=EmbeddingStore(str(tmp_path)), file="rows.npy", batch_size=3)

    assert sum(embedder.batches) == 6


def test_an_image_whose_content_changed_is_embedded_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    hashes = set()
    for content in (b"one", b"three"):
        path.write_bytes(content)
        found = embed_images(
            Lengths(),
            [image_at(path)],
            store=EmbeddingStore(str(tmp_path)),
            file="rows.npy",
            batch_size=3,
        )
        hashes.add(found.content_hash)
        assert found.rows[0, 0] == len(content)
    assert len(hashes) == 2


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    for name, content in (("good.png", b"good"), ("bad.png", b"broken")):
        (tmp_path / name).write_bytes(content)
    images = [image_at(tmp_path / name) for name in ("good.png", "bad.png")]

    with pytest.raises(InputError, match=r"bad\.png: an image cannot be decoded"):
        embed_images(
            Lengths(), images, store=EmbeddingStore(str(tmp_path)), file="rows.npy", batch_size=3
        )


def test_an_image_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png cannot be read"):
        embed_images(
            Lengths(),
            [image_at(tmp_path / "gone.png")],
            store=EmbeddingStore(str(tmp_path)),
            file="rows.npy",
            batch_size=3,
        )
