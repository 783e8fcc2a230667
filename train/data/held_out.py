"""Which pairs are trained on and which are validated on: a function of the seed and the index."""

from typing import NamedTuple

import numpy as np

from openalign.errors import ConfigError
from openalign.train.config import TrainConfig
from openalign.train.data.index import TrainingIndex
from openalign.train.data.order import RowList, Shuffled, rows_at, seed_at


class Orders(NamedTuple):
    """The rows that a run takes."""

    trained: Shuffled
    held_out: RowList | None
    """None where nothing is validated on."""


def orders_of(config: TrainConfig, index: TrainingIndex) -> Orders:
    """Draw images to validate on, and let training have the pairs of the others.

    Of an image that has several pairs the first is validated on, so that no two pairs of a batch
    are of one image; the others are of no use.

    Raises:
        ConfigError: there are no more images than that.
    """
    if config.validation is None:
        return Orders(Shuffled(len(index), seed=config.seed), None)
    num_images = config.validation.batches * config.global_batch_size
    if num_images >= index.num_images:
        raise ConfigError(
            f"`train.validation` takes the pairs of {num_images:,} images out of training, and "
            f"there are {index.num_images:,}",
            hint="set fewer `train.validation.batches`; each has `train.global_batch_size` pairs",
        )
    images = rows_at(np.arange(num_images), num_rows=index.num_images, seed=seed_at(config.seed, 2))
    rows = index.rows_of(images)
    known, firsts = np.unique(index.images(rows), return_index=True)
    shown = rows[firsts[np.searchsorted(known, images)]]
    return Orders(Shuffled(len(index), seed=config.seed, left_out=rows), RowList(shown))
