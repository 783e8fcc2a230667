"""Labeled images in the order of training: a position is an image and a crop of it.

As with pairs, both are functions of the seed and the position, so a run goes on anywhere.

Shape suffixes:
    N  images that are trained on
    B  images of this rank in a step
"""

# ruff: noqa: N815  # capitals are shape suffixes

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from openalign.train.data.order import Positions, rows_at
from openalign.train.data.pixel_batch import PixelBatch
from openalign.train.data.worker_threads import WorkerThreads
from openalign.train.fine_tune.crops import evaluation_crops, training_crops

EVALUATED_AT_ONCE = 32
"""Images of a forward pass outside training; it is fixed, so that no process count rounds anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledImages:
    """Some images of a data set."""

    reads: Sequence[Callable[[], bytes]]
    """What returns the encoded image, of each; called from several threads."""

    label_N: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.reads)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledBatch:
    """What a rank has of a step."""

    pixels: PixelBatch
    label_B: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class CropReader:
    """Reads images and cuts crops from them, in threads."""

    images: LabeledImages
    threads: WorkerThreads
    color_scaling: Tensor | None
    """See `Preprocess.color_scaling`."""

    def training(self, positions: Positions, *, side_px: int, seed: int) -> LabeledBatch:
        """Return a random crop of the image at each position.

        Raises:
            InputError: an image cannot be read, or is none.
        """
        rows = rows_at(positions, num_rows=len(self.images), seed=seed)

        def crop(at: int) -> npt.NDArray[np.uint8]:
            content = self.images.reads[rows[at]]()
            return training_crops([content], positions[at : at + 1], side_px=side_px, seed=seed)[0]

        crops = self._map(crop, range(len(rows)))
        return LabeledBatch(
            pixels=self._batch(crops, side_px),
            label_B=torch.from_numpy(self.images.label_N[rows]),
        )

    def evaluation(self, start: int, *, side_px: int) -> PixelBatch:
        """Return the central crops of `EVALUATED_AT_ONCE` images from one on.

        Raises:
            InputError: an image cannot be read, or is none.
        """

        def crop(at: int) -> npt.NDArray[np.uint8]:
            return evaluation_crops([self.images.reads[at]()], side_px=side_px)[0]

        stop = min(start + EVALUATED_AT_ONCE, len(self.images))
        return self._batch(self._map(crop, range(start, stop)), side_px)

    def _map(
        self, crop: Callable[[int], npt.NDArray[np.uint8]], places: Sequence[int]
    ) -> list[npt.NDArray[np.uint8]]:
        return self.threads.map(crop, places, while_waiting=lambda: None)

    def _batch(self, crops: Sequence[npt.NDArray[np.uint8]], side_px: int) -> PixelBatch:
        return PixelBatch(
            images=torch.from_numpy(np.stack(crops)),
            crop_px=side_px,
            warps=None,
            color_scaling=self.color_scaling,
        )
