"""Training pairs whose shards lie under a URL, read through the cache of a machine."""

from contextlib import closing
from pathlib import Path

import pytest
import torch
from range_server import range_server
from tiny_training import Corpus, jpeg_of, make_corpus, tiny_config

from openalign.errors import InputError
from openalign.files.block_cache import BLOCK_BYTES
from openalign.files.shards import ShardReader
from openalign.train.data import shard_reading
from openalign.train.data.pairs import Batch, TrainingSet
from openalign.train.data.shard_reading import open_shards
from openalign.train.data.vocabulary import vocabulary_of
from openalign.train.data.words import WordRules
from openalign.train.state import open_pairs

STEPS = 8
BATCH = 16


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def shards_at(
    url: str, corpus: Corpus, cache: Path, *, cache_mb: int = 10, identity: str = "fetched"
) -> ShardReader:
    return open_shards(
        url,
        places={},
        index=corpus.mapped(),
        identity=identity,
        cache_mb=cache_mb,
        cache=cache,
    )


def pairs_from(corpus: Corpus, shards: ShardReader, *, image_cache_mb: int = 0) -> TrainingSet:
    config = tiny_config(image_cache_mb=image_cache_mb)
    vocabulary = vocabulary_of(
        corpus.table()["alt_text"].to_pylist(), size=500, rules=WordRules.of(config.model)
    )
    return open_pairs(config, corpus.mapped(), vocabulary, shards, device=torch.device("cpu"))


def batches_of(corpus: Corpus, shards: ShardReader) -> list[Batch]:
    with closing(pairs_from(corpus, shards)) as pairs:
        return list(pairs.batches(0, STEPS, global_batch_size=BATCH, start=0, num_pairs=BATCH))


def test_pairs_from_a_store_are_those_of_a_local_folder_and_are_asked_for_once(
    corpus: Corpus, tmp_path: Path
) -> None:
    """Eight steps of 16 are two epochs of the 64 pairs; then comes another rank or run."""
    expected = batches_of(corpus, ShardReader(corpus.shards))
    with range_server(Path(corpus.shards)) as server:
        found = batches_of(corpus, shards_at(server.url, corpus, tmp_path / "cache"))
        again = batches_of(corpus, shards_at(server.url, corpus, tmp_path / "cache"))

        assert len(server.asked) == 2  # two shards, of one block each
    for batch, one, other in zip(expected, found, again, strict=True):
        assert torch.equal(batch.pixels[:], one.pixels[:])
        assert torch.equal(batch.pixels[:], other.pixels[:])


def test_without_room_for_a_cache_each_image_is_read_by_itself(
    corpus: Corpus, tmp_path: Path
) -> None:
    with range_server(Path(corpus.shards)) as server:
        shards = shards_at(server.url, corpus, tmp_path / "cache", cache_mb=0)
        batches_of(corpus, shards)

        images = {line for line in server.asked if not line.endswith(f"-{BLOCK_BYTES - 1}")}
        assert len(images) == 32
        assert len(server.asked) > 32  # twice two alt-texts an image, in different batches
    assert not (tmp_path / "cache").exists()


def test_with_room_for_one_image_all_are_read_and_each_once(corpus: Corpus, tmp_path: Path) -> None:
    """32 images are decoded from 16 positions a step and kept."""
    expected = batches_of(corpus, ShardReader(corpus.shards))
    with range_server(Path(corpus.shards)) as server:
        shards = shards_at(server.url, corpus, tmp_path, cache_mb=0)
        shards._ahead._most_bytes = 1

        with closing(pairs_from(corpus, shards, image_cache_mb=8)) as pairs:
            found = list(pairs.batches(0, STEPS, global_batch_size=BATCH, start=0, num_pairs=BATCH))

        assert len(server.asked) == len(set(server.asked)) == 32
    for batch, one in zip(expected, found, strict=True):
        assert torch.equal(batch.pixels[:], one.pixels[:])


@pytest.mark.parametrize("image_cache_mb", [0, 8])
@pytest.mark.parametrize("num_steps", [1, 2, STEPS])
def test_nothing_that_was_asked_for_stays_behind_the_steps(
    corpus: Corpus, tmp_path: Path, num_steps: int, image_cache_mb: int
) -> None:
    """A run that goes back for a spike leaves its steps early."""
    with range_server(Path(corpus.shards)) as server:
        shards = shards_at(server.url, corpus, tmp_path, cache_mb=0)
        with closing(pairs_from(corpus, shards, image_cache_mb=image_cache_mb)) as pairs:
            batches = pairs.batches(0, STEPS, global_batch_size=BATCH, start=0, num_pairs=BATCH)
            for _ in range(num_steps):
                next(batches)
                assert len(shards._ahead._begun) + len(shards._ahead._waiting) <= 2 * BATCH
            batches.close()

        assert not shards._ahead._waiting
        assert not shards._ahead._begun
        assert shards._ahead._begun_bytes == 0


def test_the_share_of_blocks_that_is_kept_is_what_fits(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four fifths of a shard are taken to be images: of a corpus twice as large, 0.4 is kept."""
    total = sum(len(jpeg) for jpeg in images_of(corpus))
    assert corpus.mapped().estimated_bytes() == pytest.approx(total, rel=0.01)

    def share(limit: int) -> float:
        monkeypatch.setattr(shard_reading, "_MIB", limit)
        shards = shards_at("memory://nowhere", corpus, tmp_path, cache_mb=1)
        assert shards._cache is not None
        return shards._cache.share

    assert share(total // 2) == pytest.approx(0.4, rel=0.01)
    assert share(total * 2) == 1.0


def images_of(corpus: Corpus) -> list[bytes]:
    pairs = {(p["shard"], p["offset"], p["length"]) for p in corpus.table().to_pylist()}
    reader = ShardReader(corpus.shards)
    return [reader.read(*place) for place in pairs]


def test_an_image_whose_copy_was_damaged_is_read_again_and_one_of_the_store_is_named(
    corpus: Corpus, tmp_path: Path
) -> None:
    expected = batches_of(corpus, ShardReader(corpus.shards))
    with range_server(Path(corpus.shards)) as server:
        batches_of(corpus, shards_at(server.url, corpus, tmp_path / "cache"))
        for block in (tmp_path / "cache").glob("???/*"):
            block.write_bytes(bytes(block.stat().st_size))

        found = batches_of(corpus, shards_at(server.url, corpus, tmp_path / "cache"))

        assert all(
            torch.equal(one.pixels[:], other.pixels[:])
            for one, other in zip(found, expected, strict=True)
        )
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for shard in Path(corpus.shards).glob("*.tar"):
        other = jpeg_of("red", "circle")
        (damaged / shard.name).write_bytes(other.ljust(shard.stat().st_size, b"\0"))
    with (
        range_server(damaged) as server,
        pytest.raises(InputError, match="are not those that `fetch` wrote"),
    ):
        batches_of(corpus, shards_at(server.url, corpus, tmp_path / "other"))
