"""Which pairs are trained on, and which are validated on."""

import numpy as np
import pytest
from tiny_training import Corpus, make_corpus, tiny_config

from openalign.errors import ConfigError
from openalign.train.config import Validation
from openalign.train.data.held_out import orders_of
from openalign.train.data.order import RowList, Shuffled, rows_at


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("left_out", [[], [0], [9], [0, 1, 2], [3, 4, 8], [0, 9], list(range(9))])
def test_every_epoch_has_all_rows_but_those_that_are_left_out(left_out: list[int]) -> None:
    order = Shuffled(10, seed=3, left_out=np.array(left_out, dtype=np.int64))
    stay = [row for row in range(10) if row not in left_out]

    assert len(order) == len(stay)
    # The slow way: the row behind so many others that stay.
    places = rows_at(np.arange(5 * len(stay)), num_rows=len(stay), seed=3)
    found = order.rows(np.arange(5 * len(stay)))
    assert found.tolist() == [stay[place] for place in places]
    assert sorted(found[: len(stay)].tolist()) == stay


def test_rows_are_listed_again_and_again() -> None:
    order = RowList(np.array([5, 2, 7]))

    assert len(order) == 3
    assert order.rows(np.array([0, 1, 2, 3, 8])).tolist() == [5, 2, 7, 5, 7]


@pytest.mark.parametrize("seed", range(4))
def test_no_image_is_trained_on_and_validated_on(corpus: Corpus, seed: int) -> None:
    index = corpus.mapped()
    config = tiny_config(global_batch_size=8, validation=Validation(batches=2), seed=seed)

    trained, held_out = orders_of(config, index)

    assert held_out is not None
    shown, others = (order.rows(np.arange(len(order))) for order in (held_out, trained))
    of_shown, of_others = index.images(shown), index.images(others)
    assert len(set(of_shown)) == len(shown) == 16
    # Each of the 32 images has two pairs: of 16 one is shown and the other is of no use.
    assert sorted(of_others.tolist()) == sorted([*(set(range(32)) - set(of_shown))] * 2)
    for row, image in zip(shown, of_shown, strict=True):  # the first pair of its image
        assert row == min(np.flatnonzero(index.images(np.arange(64)) == image))


def test_other_seeds_hold_out_other_images(corpus: Corpus) -> None:
    index, found = corpus.mapped(), set[tuple[int, ...]]()
    for seed in range(4):
        config = tiny_config(global_batch_size=8, validation=Validation(), seed=seed)
        held_out = orders_of(config, index).held_out
        assert held_out is not None
        found.add(tuple(index.images(held_out.rows(np.arange(8))).tolist()))

    assert len(found) == 4
    assert len({image for images in found for image in images}) > 16


def test_without_validation_all_is_trained_on(corpus: Corpus) -> None:
    trained, held_out = orders_of(tiny_config(), corpus.mapped())

    assert held_out is None
    assert sorted(trained.rows(np.arange(64)).tolist()) == list(range(64))


def test_some_images_are_left_to_train_on(corpus: Corpus) -> None:
    config = tiny_config(global_batch_size=16, validation=Validation(batches=2))

    with pytest.raises(ConfigError, match=r"of 32 images out of training, and there are 32$"):
        orders_of(config, corpus.mapped())


def test_rows_of_images_are_all_that_have_one(corpus: Corpus) -> None:
    index = corpus.mapped()
    numbers = index.images(np.arange(64))

    for images in ([], [0], [31], [15, 16], [20, 3, 17, 3]):
        expected = [row for row in range(64) if numbers[row] in images]
        assert index.rows_of(np.array(images, dtype=np.int64)).tolist() == expected
