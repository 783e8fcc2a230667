import math
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from openalign.errors import ConfigError, InputError
from openalign.files.shards import ShardReader
from openalign.train import loop
from openalign.train.config import Augmentation, LossForm, TrainConfig
from openalign.train.data.order import RowList, rows_at
from openalign.train.data.pairs import Batch, TrainingSet, check_batch_size
from openalign.train.data.passed_over import BatchRange
from openalign.train.data.preprocess import SPECIAL_TOKENS, Preprocess, build_tokenizer, read_pixels
from openalign.train.model.loss import contrastive_loss
from openalign.train.ranks import RankGroup
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
    return TrainingSet(corpus.mapped(), **values | changes)


def assert_same(one: Batch, two: Batch) -> None:
    assert one.rows.tolist() == two.rows.tolist()
    assert torch.equal(one.pixels[:], two.pixels[:])
    width = max(one.tokens.ids.shape[1], two.tokens.ids.shape[1])
    for a, b in zip(one.tokens, two.tokens, strict=True):
        padded = [torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in (a, b)]
        assert torch.equal(*padded)


def test_a_batch_holds_the_pairs_of_its_rows(corpus: Corpus) -> None:
    data = make_set(corpus, augmentation=PLAIN)
    table = corpus.table().to_pylist()

    batch = data.batch(0, start=3, stop=7)

    for row, pixels, ids, mask in zip(batch.rows, batch.pixels[:], *batch.tokens, strict=True):
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
    seen, seen_again = first.pixels[:], second.pixels[:]
    same = [
        torch.equal(seen[n], seen_again[place[row]]) for n, row in enumerate(first.rows.tolist())
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
        assert torch.equal(torch.cat([s.pixels[:] for s in shares]), whole[step].pixels[:])


def test_a_run_that_starts_later_sees_what_it_would_have_seen(corpus: Corpus) -> None:
    """Step 2 to 3 of 24 pairs cross from the first epoch of 64 into the second."""
    data = make_set(corpus)
    whole = list(data.batches(0, 6, global_batch_size=24, start=12, num_pairs=12))
    rest = list(data.batches(2, 6, global_batch_size=24, start=12, num_pairs=12))

    assert [batch.step for batch in rest] == [2, 3, 4, 5]
    for one, two in zip(whole[2:], rest, strict=True):
        assert_same(one, two)


def told(config: TrainConfig, data: TrainingSet, batch: Batch) -> torch.Tensor | None:
    """Return what the loss is told of images."""
    ranks = RankGroup(rank=0, world_size=1, device=torch.device("cpu"))
    state: Any = SimpleNamespace(config=config, ranks=ranks, data=data)
    return loop._image_ids(state, batch)


def test_the_loss_is_told_of_images_where_it_is_to_mask_them(corpus: Corpus) -> None:
    data = make_set(corpus)
    batch = data.batch(0, start=0, stop=16)

    assert told(tiny_config(), data, batch) is None
    ids = told(tiny_config(same_image_negatives="mask"), data, batch)
    assert ids is not None
    assert ids.tolist() == batch.image_ids.tolist()


@pytest.mark.parametrize("form", ["plain", "rows", "tiled"])
def test_a_pair_that_stands_in_a_batch_twice_is_no_negative_of_itself(
    corpus: Corpus, form: LossForm
) -> None:
    """Two pairs of one image, the first of them twice, each on an axis of its own: with sigma 0.5
    a pair's own logit is 2 and the others' 0. Left are 2, 0 for the first pair, and 2, 0, 0 for the
    second, of which a copy is no copy. Smoothing moves 0.3: 0.7 * 2 + 0.3 * 1 for the first, and
    0.7 * 2 + 0.3 * 2 / 3 for the second.
    """
    images = corpus.mapped().images(np.arange(64)).tolist()
    one = images.index(images[0], 1)
    data = make_set(corpus, order=RowList(np.array([0, one])))
    batch = data.batch(0, start=0, stop=3)
    axes = torch.eye(2, dtype=torch.float64)[[0, 1, 0]]

    loss = contrastive_loss(
        axes,
        axes,
        torch.tensor([0.5], dtype=torch.float64),
        label_smoothing=0.3,
        form=form,
        image_ids_B=told(tiny_config(global_batch_size=3, block_size=3), data, batch),
    )

    assert batch.image_ids.tolist() == [images[0]] * 3
    first, second = math.log(math.exp(2) + 1) - 1.7, math.log(math.exp(2) + 2) - 1.6
    assert loss.item() == pytest.approx(2 * (2 * first + second) / 3, rel=1e-12)


def test_a_pair_may_stand_twice_where_an_epoch_ends_in_the_batch(corpus: Corpus) -> None:
    """The epochs of 64 end in the third and sixth batch of 24, and behind the eighth."""
    data = make_set(corpus)
    counts = [len(set(data.rows(24 * step, 24 * (step + 1)).tolist())) for step in range(9)]

    told_of = [data.may_repeat(step, global_batch_size=24) for step in range(9)]

    assert told_of == [step in (2, 5) for step in range(9)]
    assert [count < 24 for count in counts] == told_of


@pytest.mark.parametrize(
    ("num_pairs", "passed_over", "expected"),
    [
        pytest.param(16 * 101, (), False, id="the last that may replace is in the epoch"),
        pytest.param(16 * 101 - 1, (), True, id="it is in the next"),
        pytest.param(16 * 101, (BatchRange(40, 41),), True, id="and so where one is passed over"),
    ],
)
def test_a_pair_may_stand_twice_where_it_may_replace_one(
    corpus: Corpus, num_pairs: int, passed_over: tuple[BatchRange, ...], *, expected: bool
) -> None:
    """Images of up to 100 batches behind one of 16 may take the place of a bad one."""
    order = RowList(np.arange(num_pairs) % 64)
    data = make_set(corpus, order=order, replace_after=16, passed_over=passed_over)

    assert data.may_repeat(0, global_batch_size=16) == expected


def test_the_thread_ends_with_the_loop(corpus: Corpus) -> None:
    batches = make_set(corpus).batches(0, 1000, global_batch_size=16, start=0, num_pairs=16)
    next(batches)
    assert "batches" in [thread.name for thread in threading.enumerate()]

    batches.close()

    assert "batches" not in [thread.name for thread in threading.enumerate()]


def test_the_threads_that_decode_end_with_the_pairs(corpus: Corpus) -> None:
    before = set(threading.enumerate())
    data = make_set(corpus)
    data.batch(0, start=0, stop=16)
    own = set(threading.enumerate()) - before
    assert [thread.name.startswith("decode") for thread in own] == [True, True]

    data.close()

    assert own.isdisjoint(threading.enumerate())


def test_pairs_of_one_image_have_one_number(corpus: Corpus) -> None:
    data = make_set(corpus)
    table = corpus.table().to_pylist()

    batch = data.batch(0, start=0, stop=64)

    places = [(table[row]["shard"], table[row]["offset"]) for row in batch.rows]
    numbers = batch.image_ids.tolist()
    assert sorted(set(numbers)) == list(range(32))
    assert len(set(zip(places, numbers, strict=True))) == len(set(places)) == 32
    assert batch.image_ids.dtype == torch.int64


def test_unknown_words_are_counted(corpus: Corpus) -> None:
    """`a COLOR SHAPE` and `picture of one SHAPE in COLOR`: known are red, circle and the rest."""
    data = make_set(corpus)

    batch = data.batch(0, start=0, stop=64)

    # 32 images: 3 and 6 words each. 4 of them are red, 8 are circles; both forms say both.
    assert batch.num_pieces == 32 * (3 + 6)
    assert batch.num_unknown == 2 * ((32 - 4) + (32 - 8))


def damaged(corpus: Corpus, folder: Path, rows: list[int]) -> ShardReader:
    """Return a reader of shards in which the images of some rows are zeros."""
    table = corpus.table().to_pylist()
    for shard in Path(corpus.shards).glob("*.tar"):
        content = bytearray(shard.read_bytes())
        for place in (table[row] for row in rows):
            if place["shard"] == shard.name:
                content[place["offset"] : place["offset"] + place["length"]] = bytes(
                    place["length"]
                )
        (folder / shard.name).write_bytes(content)
    return ShardReader(str(folder))


def test_an_image_that_was_changed_is_named(corpus: Corpus, tmp_path: Path) -> None:
    data = make_set(corpus, shards=damaged(corpus, tmp_path, list(range(64))))

    with pytest.raises(InputError, match=r"shard-0000\d-00000\.tar: the bytes from \d+ on are not"):
        next(data.batches(0, 1, global_batch_size=16, start=0, num_pairs=16))


def test_a_changed_byte_that_still_decodes_is_found(corpus: Corpus, tmp_path: Path) -> None:
    row = make_set(corpus).rows(0, 1)[0]
    place = corpus.table().to_pylist()[row]
    for shard in Path(corpus.shards).glob("*.tar"):
        content = bytearray(shard.read_bytes())
        if shard.name == place["shard"]:
            content[place["offset"] + place["length"] - 10] ^= 1
        (tmp_path / shard.name).write_bytes(content)

    with pytest.raises(InputError, match="not those that `fetch` wrote"):
        make_set(corpus, shards=ShardReader(str(tmp_path))).batch(0, start=0, stop=1)


@pytest.mark.parametrize("image_cache_mb", [0, 8])
@pytest.mark.parametrize("world_size", [1, 2])
def test_a_bad_image_gives_way_to_the_pair_at_its_place_in_a_later_batch(
    corpus: Corpus, tmp_path: Path, image_cache_mb: int, world_size: int
) -> None:
    """The images at the places 3 and 5 of the first batch, and at 3 of the second, are bad."""
    whole = make_set(corpus)
    at = whole.rows(0, 64)
    bad = [int(at[3]), int(at[5]), int(at[16 + 3])]
    table = corpus.table()
    images = [table["image"][row].as_py() + 16 * (row >= 32) for row in bad]
    hit = {row for row in range(64) if table["image"][row].as_py() + 16 * (row >= 32) in images}
    data = make_set(
        corpus,
        shards=damaged(corpus, tmp_path, bad),
        replace_after=16,
        image_cache_mb=image_cache_mb,
    )

    share = 16 // world_size
    shares = [
        next(data.batches(0, 1, global_batch_size=16, start=rank * share, num_pairs=share))
        for rank in range(world_size)
    ]

    expected = []
    for place in range(16):
        position = place
        while int(rows_at(np.array([position]), num_rows=64, seed=0)[0]) in hit:
            position += 16
        expected.append(int(rows_at(np.array([position]), num_rows=64, seed=0)[0]))
    assert np.concatenate([share.rows for share in shares]).tolist() == expected
    named = [pair for share in shares for pair in share.replaced]
    assert {3, 5} <= {pair.position for pair in named}
    assert {pair.key for pair in named} <= {table["key"][row].as_py() for row in hit}
    texts = [table["alt_text"][row].as_py() for row in expected]
    lengths = [len(text.split()) + 2 for text in texts]
    assert [int(n) for share in shares for n in share.tokens.mask.sum(1)] == lengths


def test_no_pair_of_a_batch_that_is_passed_over_takes_a_bad_ones_place(
    corpus: Corpus, tmp_path: Path
) -> None:
    """The image at place 3 of the first batch is bad, and the second batch is passed over."""
    at = make_set(corpus).rows(0, 64)
    bad = int(at[3])
    image = corpus.table()["image"].to_pylist()
    of_bad = {row for row in range(64) if (image[row], row < 32) == (image[bad], bad < 32)}
    assert int(at[2 * 16 + 3]) not in of_bad
    data = make_set(
        corpus,
        shards=damaged(corpus, tmp_path, [bad]),
        replace_after=16,
        passed_over=[BatchRange(1, 2)],
    )

    found = data.batch(0, start=0, stop=16)

    assert int(found.rows[3]) == int(at[2 * 16 + 3])


def test_a_corpus_of_bad_images_stops_the_run(corpus: Corpus, tmp_path: Path) -> None:
    shards = damaged(corpus, tmp_path, list(range(64)))
    data = make_set(corpus, shards=shards, replace_after=16)

    with pytest.raises(InputError, match="101 pairs in a row cannot be decoded"):
        data.batch(0, start=0, stop=1)


def test_a_missing_shard_is_no_bad_image(corpus: Corpus, tmp_path: Path) -> None:
    data = make_set(corpus, shards=ShardReader(str(tmp_path)), replace_after=16)

    with pytest.raises(InputError, match=r"shard-0000\d-00000\.tar cannot be read"):
        data.batch(0, start=0, stop=16)


def test_a_batch_larger_than_the_data_is_refused() -> None:
    check_batch_size(64, num_pairs=64)
    with pytest.raises(
        ConfigError, match=r"is 65, and there are 64 pairs to train on: a pair would"
    ):
        check_batch_size(65, num_pairs=64)


def test_deepspeed_is_told_what_its_defaults_would_change() -> None:
    settings = deepspeed_settings(tiny_config(), world_size=2, num_parameters=1025)

    assert settings["gradient_clipping"] == 0.0
    assert settings["train_micro_batch_size_per_gpu"] == 1
    assert settings["zero_optimization"]["stage"] == 2
    assert settings["zero_optimization"]["round_robin_gradients"] is False
    assert settings["zero_optimization"]["reduce_bucket_size"] == 2048
    assert "bf16" not in settings
    assert "optimizer" not in settings
