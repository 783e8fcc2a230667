import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from embedding_works import Lengths, image_at, images_of, work_of

from openalign.errors import InputError, StageError
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.embedding import chunks, embeddings
from openalign.evaluate.embedding.chunks import Chunk, Unreadable
from openalign.evaluate.embedding.embeddings import EmbeddingWork, Texts, fixed_threads
from openalign.evaluate.metrics.vectors import Vectors
from openalign.files.sealed import SealedFiles
from openalign.train.ranks import RankGroup


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 4)


TEXTS = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"]


def embed_texts(
    work: EmbeddingWork, texts: Sequence[str] = TEXTS, *, projected: bool = True
) -> Vectors:
    made = work.texts({"rows.npy": Texts(texts=texts, projected=projected)})["rows.npy"]
    return rows_of(work, made)


def rows_of(work: EmbeddingWork, made: Sequence[Chunk]) -> Vectors:
    return np.concatenate([work.store.rows(chunk) for chunk in made])


def test_texts_of_like_length_share_a_batch_and_rows_keep_the_texts_order(tmp_path: Path) -> None:
    embedder = Lengths()
    texts = ["ccc", "a", "dddd", "bb", "f", "eeeee"]

    rows = embed_texts(work_of(embedder, tmp_path, batch_size=2), texts)

    assert rows[:, 0].tolist() == [3, 1, 4, 2, 1, 5]
    assert embedder.texts == ["a", "bb", "ccc", "dddd", "f", "eeeee"]
    assert embedder.batches == [2, 2, 2]


def test_batches_end_with_their_chunk(tmp_path: Path) -> None:
    embedder = Lengths()

    embed_texts(work_of(embedder, tmp_path, batch_size=3))

    assert embedder.batches == [3, 1, 2]


def test_what_is_there_is_not_embedded_again(tmp_path: Path) -> None:
    first = embed_texts(work_of(Lengths(), tmp_path))
    again = Lengths()

    second = embed_texts(work_of(again, tmp_path))

    assert again.batches == []
    assert second.tolist() == first.tolist()


def test_only_a_chunk_that_is_lost_is_embedded_again(tmp_path: Path) -> None:
    embed_texts(work_of(Lengths(), tmp_path), TEXTS[:4])
    after_kill = Lengths()

    rows = embed_texts(work_of(after_kill, tmp_path))

    assert after_kill.batches == [2]
    assert rows[:, 0].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("identity", "texts", "batch_size"),
    [
        pytest.param("two", TEXTS[:4], 3, id="another model"),
        pytest.param("one", [*TEXTS[:3], "x"], 3, id="another text"),
        pytest.param("one", TEXTS[:4], 2, id="another batch size"),
    ],
)
def test_a_chunk_is_only_reused_for_what_it_was_made_of(
    tmp_path: Path, identity: str, texts: list[str], batch_size: int
) -> None:
    embed_texts(work_of(Lengths(), tmp_path), TEXTS[:4])
    embedder = Lengths(identity)

    embed_texts(work_of(embedder, tmp_path, batch_size=batch_size), texts)

    assert sum(embedder.batches) == 4


def test_embeddings_and_states_of_a_text_are_two_things(tmp_path: Path) -> None:
    work = work_of(Lengths(), tmp_path)

    assert embed_texts(work)[:, 1].tolist() == [1.0] * 6
    assert embed_texts(work, projected=False)[:, 1].tolist() == [0.0] * 6


def test_chunks_of_an_earlier_result_are_used_each_by_itself(tmp_path: Path) -> None:
    first = work_of(Lengths(), tmp_path / "work")
    made = first.texts({"embeddings/a.npy": Texts(texts=TEXTS)})
    first.store.write_file(str(tmp_path / "result"), "embeddings/a.npy", made["embeddings/a.npy"])
    sealed = SealedFiles(str(tmp_path / "result"), first.store.write_list(str(tmp_path / "result")))
    again = Lengths()

    rows = embed_texts(
        work_of(again, tmp_path / "elsewhere", previous=sealed),
        ["x", "xx", "xxx", "xxxx", *TEXTS[4:]],  # the first chunk of four changed
    )

    assert again.batches == [3, 1]
    assert rows[:, 0].tolist() == [1, 2, 3, 4, 5, 6]


def test_what_an_earlier_file_lost_is_made_anew(tmp_path: Path) -> None:
    first = work_of(Lengths(), tmp_path / "work")
    made = first.texts({f"embeddings/{name}.npy": Texts(texts=[name]) for name in "ab"})
    result = str(tmp_path / "result")
    for file, chunks_of in made.items():
        first.store.write_file(result, file, chunks_of)
    sealed = SealedFiles(result, first.store.write_list(result))
    damaged = tmp_path / "result" / "embeddings" / "a.npy"
    damaged.write_bytes(damaged.read_bytes()[:-4] + bytes(4))
    again = Lengths()
    work = work_of(again, tmp_path / "elsewhere", previous=sealed)

    work.leave_out_damaged()
    made = work.texts({f"embeddings/{name}.npy": Texts(texts=[name]) for name in "ab"})

    assert again.texts == ["a"]
    rows = work.store.write_file(
        str(tmp_path / "out"), "embeddings/a.npy", made["embeddings/a.npy"]
    )
    assert rows.tolist() == [[1.0, 1.0]]


def test_chunks_of_other_libraries_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_texts(work_of(Lengths(), tmp_path))
    monkeypatch.setattr(embeddings, "library_versions", lambda: {"torch": "0"})
    embedder = Lengths()

    embed_texts(work_of(embedder, tmp_path))

    assert sum(embedder.batches) == 6


def test_images_come_in_their_order_whichever_thread_decodes_them(tmp_path: Path) -> None:
    images = images_of(tmp_path, *(b"x" * length for length in (5, 1, 4, 2, 3, 9, 7)))
    embedder = Lengths()
    work = work_of(embedder, tmp_path / "work")

    made = work.images({"a.npy": images[:5], "b.npy": images[5:]})

    assert rows_of(work, made["a.npy"])[:, 0].tolist() == [5, 1, 4, 2, 3]
    assert rows_of(work, made["b.npy"])[:, 0].tolist() == [9, 7]
    assert embedder.batches == [3, 1, 1, 2]


def test_an_image_whose_content_changed_is_embedded_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    hashes: set[str] = set()
    for content in (b"one", b"three"):
        path.write_bytes(content)
        work = work_of(Lengths(), tmp_path / "work")
        (chunk,) = work.images({"rows.npy": [image_at(path)]})["rows.npy"]
        hashes.add(chunk.content_hash)
        assert work.store.rows(chunk)[0, 0] == len(content)
    assert len(hashes) == 2


def test_an_image_that_cannot_be_decoded_has_no_row_and_is_named(tmp_path: Path) -> None:
    images = images_of(tmp_path, b"one", b"broken", b"three", b"four4")

    for _ in range(2):  # made, and found
        work = work_of(Lengths(), tmp_path / "work")
        (chunk,) = work.images({"rows.npy": images})["rows.npy"]

        assert chunk.unreadable == (Unreadable(1, "an image cannot be decoded: it is broken"),)
        assert work.store.rows(chunk)[:, 0].tolist() == [3, 5, 5]


def test_a_chunk_without_one_good_image_has_no_rows(tmp_path: Path) -> None:
    embedder = Lengths()
    work = work_of(embedder, tmp_path / "work")

    (chunk,) = work.images({"rows.npy": images_of(tmp_path, b"broken", b"broken")})["rows.npy"]

    assert [each.place for each in chunk.unreadable] == [0, 1]
    assert len(work.store.rows(chunk)) == 0
    assert embedder.batches == []


def test_an_image_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png cannot be read: there is no such file"):
        work_of(Lengths(), tmp_path).images({"rows.npy": [image_at(tmp_path / "gone.png")]})


def test_an_image_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    class Locked:
        file = "locked.png"

        def read(self) -> bytes:
            raise PermissionError(13, "Permission denied")

    image = BenchmarkImage(name="locked.png", split="test", place=Locked())

    with pytest.raises(InputError, match=r"^locked\.png cannot be read: Permission denied$"):
        work_of(Lengths(), tmp_path).images({"rows.npy": [image]})


def test_the_image_whose_embedding_is_not_finite_is_named_and_its_chunk_not_kept(
    tmp_path: Path,
) -> None:
    images = images_of(tmp_path / "images", b"one", b"not finite", b"three")

    with pytest.raises(InputError, match=r"images/1: an image's embedding is not fin") as caught:
        work_of(Lengths(), tmp_path / "work").images({"rows.npy": images})

    assert caught.value.hint == "the model is broken"
    assert list(tmp_path.rglob("*.npy")) == []


def test_no_thread_is_left_after_an_error(tmp_path: Path) -> None:
    images = images_of(tmp_path / "images", b"not finite", *([b"one"] * 40))
    before = threading.active_count()

    with pytest.raises(InputError, match="images/0: "):
        work_of(Lengths(), tmp_path / "work").images({"rows.npy": images})

    assert threading.active_count() == before


def test_ranks_share_the_chunks_of_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = images_of(tmp_path, *(b"x" * length for length in range(1, 11)))
    wanted = {"a.npy": images[:6], "b.npy": images[6:]}  # chunks of 4, 2 and 4 images
    alone = work_of(Lengths(), tmp_path / "alone").images(wanted)
    shares: dict[int, list[Chunk]] = {}
    met = threading.Barrier(2)

    def from_every_rank(ranks: RankGroup, made: list[Chunk]) -> list[list[Chunk]]:
        shares[ranks.rank] = made
        met.wait()
        return [shares[0], shares[1]]

    monkeypatch.setattr(embeddings, "from_every_rank", from_every_rank)
    embedders = [Lengths(), Lengths()]
    works = [
        work_of(embedder, tmp_path / "shared", rank=rank, world_size=2)
        for rank, embedder in enumerate(embedders)
    ]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda work: work.images(wanted), works))

    assert found == [alone, alone]
    assert [sum(embedder.batches) for embedder in embedders] == [8, 2]


def test_a_batch_that_memory_does_not_hold_says_which_size_to_try(tmp_path: Path) -> None:
    class TooLarge(Lengths):
        def embed_pixels(self, pixels: torch.Tensor) -> Vectors:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(StageError, match="the memory of cpu does not hold a batch of 64") as caught:
        work_of(TooLarge(), tmp_path / "work", batch_size=64).images(
            {"rows.npy": images_of(tmp_path, b"one")}
        )

    assert caught.value.hint == "set `evaluate.batch_size: 32`"


@pytest.mark.parametrize(("device", "threads"), [("cpu", 4), ("cuda", 7)])
def test_a_forward_pass_on_cpus_has_the_same_threads_everywhere(device: str, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(7)
    try:
        with fixed_threads(RankGroup(rank=0, world_size=1, device=torch.device(device))):
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == 7
    finally:
        torch.set_num_threads(before)
