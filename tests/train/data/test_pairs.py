import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from openalign.errors import InputError, StageError
from openalign.files.schemas import TRAINING
from openalign.files.shards import ShardReader
from openalign.files.tables import write_table
from openalign.train.config import Augmentation
from openalign.train.data.pairs import Batch, SampleHash, TrainingSet, read_training
from openalign.train.data.preprocess import SPECIAL_TOKENS, Preprocess, build_tokenizer, read_pixels
from openalign.train.zero import deepspeed_settings

from tiny_training import Corpus, make_corpus, tiny_config  # isort: skip

VOCABULARY = [*SPECIAL_TOKENS, "a", "red", "circle", "picture", "of", "one", "in"]
PLAIN = Augmentation(random_crop=False, horizontal_flip=False)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def make_set(corpus: Corpus, **changes: Any) -> TrainingSet:
    preprocess = Preprocess(resize_px=36, crop_px=32, max_tokens=16)
    values: dict[str, Any] = {
        "shards": ShardReader(corpus.shards),
        "preprocess": preprocess,
        "tokenizer": build_tokenizer(VOCABULARY, preprocess),
        "augmentation": Augmentation(scale=0.1),
        "seed": 0,
        "decode_threads": 2,
        "image_cache_mb": 8,
    }
    return TrainingSet(read_training(corpus.training), **values | changes)


def assert_same(one: Batch, two: Batch) -> None:
    assert one.rows.tolist() == two.rows.tolist()
    assert torch.equal(one.pixels, two.pixels)
    width = max(one.tokens.ids.shape[1], two.tokens.ids.shape[1])
    for a, b in zip(one.tokens, two.tokens, strict=True):
        padded = [torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in (a, b)]
        assert torch.equal(*padded)


def test_a_batch_holds_the_pairs_of_its_rows(corpus: Corpus) -> None:
    data = make_set(corpus, augmentation=PLAIN)
    table = corpus.table().to_pylist()

    batch = data.batch(0, start=3, stop=7)

    for row, pixels, ids, mask in zip(batch.rows, batch.pixels, *batch.tokens, strict=True):
        pair = table[row]
        shard = Path(corpus.shards, pair["shard"]).read_bytes()
        jpeg = shard[pair["offset"] : pair["offset"] + pair["length"]]
        expected = read_pixels(jpeg, resize_px=36)[2:34, 2:34] / 127.5 - 1
        np.testing.assert_allclose(pixels.permute(1, 2, 0).numpy(), expected, atol=1e-6)
        # [CLS], the words, [SEP]: `a` says which form of the alt-text it is.
        assert mask.sum() == len(pair["alt_text"].split()) + 2
        assert (VOCABULARY[ids[1]] == "a") == pair["alt_text"].startswith("a ")


def test_a_position_is_a_pure_function(corpus: Corpus) -> None:
    """Neither what was asked before, nor the cache, nor threads change what stands there."""
    fresh, used = make_set(corpus, image_cache_mb=0, decode_threads=1), make_set(corpus)
    for start in (40, 0, 16):
        used.batch(0, start=start, stop=start + 16)

    assert_same(fresh.batch(5, start=60, stop=76), used.batch(5, start=60, stop=76))


def test_an_image_looks_different_in_the_next_epoch(corpus: Corpus) -> None:
    data = make_set(corpus)
    first = data.batch(0, start=0, stop=64)
    second = data.batch(4, start=64, stop=128)
    place = {row: n for n, row in enumerate(second.rows.tolist())}

    assert sorted(first.rows.tolist()) == sorted(second.rows.tolist()) == list(range(64))
    same = [
        torch.equal(first.pixels[n], second.pixels[place[row]])
        for n, row in enumerate(first.rows.tolist())
    ]
    assert not any(same)


@pytest.mark.parametrize(
    "shares_of_ranks",
    [
        pytest.param([(0, 12), (12, 12)], id="even"),
        pytest.param([(0, 16), (16, 8)], id="uneven"),
    ],
)
def test_ranks_share_the_batch_of_one(
    corpus: Corpus, shares_of_ranks: list[tuple[int, int]]
) -> None:
    data = make_set(corpus)
    whole = list(data.batches(0, 3, global_batch_size=24, start=0, num_pairs=24))
    parts = [
        list(data.batches(0, 3, global_batch_size=24, start=start, num_pairs=num_pairs))
        for start, num_pairs in shares_of_ranks
    ]

    for step in range(3):
        shares = [rank[step] for rank in parts]
        assert np.concatenate([s.rows for s in shares]).tolist() == whole[step].rows.tolist()
        assert torch.equal(torch.cat([s.pixels for s in shares]), whole[step].pixels)


def test_a_run_that_starts_later_sees_what_it_would_have_seen(corpus: Corpus) -> None:
    """Step 2 to 3 of 24 pairs cross from the first epoch of 64 into the second."""
    data = make_set(corpus)
    whole = list(data.batches(0, 6, global_batch_size=24, start=12, num_pairs=12))
    rest = list(data.batches(2, 6, global_batch_size=24, start=12, num_pairs=12))

    assert [batch.step for batch in rest] == [2, 3, 4, 5]
    for one, two in zip(whole[2:], rest, strict=True):
        assert_same(one, two)


def test_the_thread_ends_with_the_loop(corpus: Corpus) -> None:
    batches = make_set(corpus).batches(0, 1000, global_batch_size=16, start=0, num_pairs=16)
    next(batches)
    assert "batches" in [thread.name for thread in threading.enumerate()]

    batches.close()

    assert "batches" not in [thread.name for thread in threading.enumerate()]


def test_a_shard_that_was_changed_is_named(corpus: Corpus, tmp_path: Path) -> None:
    for shard in Path(corpus.shards).glob("*.tar"):
        (tmp_path / shard.name).write_bytes(bytes(shard.stat().st_size))
    data = make_set(corpus, shards=ShardReader(str(tmp_path)))

    with pytest.raises(InputError, match=r"shard-0000\d-00000\.tar: the bytes from \d+ on are no"):
        next(data.batches(0, 1, global_batch_size=16, start=0, num_pairs=16))


def test_texts_may_pass_two_gib(corpus: Corpus) -> None:
    """Offsets of 32 bits end there, and a manifest of the paper's size has a hundred times that."""
    types = {field.name: field.type for field in read_training(corpus.training).schema}

    assert types == {
        "key": pa.large_string(),
        "alt_text": pa.large_string(),
        "shard": pa.large_string(),
        "offset": pa.int64(),
        "length": pa.int64(),
    }


def test_an_empty_manifest_stops_the_run(tmp_path: Path) -> None:
    write_table(str(tmp_path), "training.parquet", TRAINING.empty_table())

    with pytest.raises(StageError, match="nothing to train on"):
        read_training([str(tmp_path / "training.parquet")])
    with pytest.raises(StageError, match="nothing to train on"):
        read_training([])


def test_the_sample_hash_depends_on_order_and_on_everything_before() -> None:
    def digest(*batches: list[str]) -> str:
        samples = SampleHash()
        for batch in batches:
            samples.update(batch)
        return samples.hexdigest

    found = {digest(["a"], ["b"]), digest(["b"], ["a"]), digest(["a", "b"]), digest(["b"])}
    assert len(found) == 4
    resumed = SampleHash(digest(["a"]))
    resumed.update(["b"])
    assert resumed.hexdigest == digest(["a"], ["b"])


def test_deepspeed_is_told_what_its_defaults_would_change() -> None:
    settings = deepspeed_settings(tiny_config(), world_size=2, num_parameters=1025)

    assert settings["gradient_clipping"] == 0.0
    assert settings["train_micro_batch_size_per_gpu"] == 1
    assert settings["zero_optimization"]["stage"] == 2
    assert settings["zero_optimization"]["round_robin_gradients"] is False
    assert settings["zero_optimization"]["reduce_bucket_size"] == 2048
    assert "bf16" not in settings
    assert "optimizer" not in settings
