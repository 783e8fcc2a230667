"""The image tower of a model's folder, ready to be fine-tuned."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from openalign.errors import InputError
from openalign.files.folder import opened
from openalign.train.model.architecture import Architecture, check_image_size, read_architecture
from openalign.train.model.towers import correct_image_tower
from openalign.train.model.weights import load_align
from openalign.train.presets import ImageTower
from openalign.train.start.model_reading import read_preprocess


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTowerRead:
    """A tower as it was saved."""

    tower: nn.Module
    width: int
    """Of its pooled features."""

    color_scaling: Tensor | None
    """See `Preprocess.color_scaling`."""


def read_image_tower(
    model: str, processor: str, settings: ImageTower, *, sides_px: Iterable[int]
) -> ImageTowerRead:
    """Return a model's image tower, corrected for training, and how colors are scaled for it.

    Blocks are skipped at the rate that the folder says. The image processor counts for its colors.
    `sides_px` are those of the crops that the tower will see.

    Raises:
        InputError: the folder is not that of an ALIGN, or the tower cannot take images so small.
    """
    with opened(model) as files, opened(processor or model) as of_processor:
        architecture = read_architecture(files)
        _check_sides(model, architecture, sides_px)
        preprocess = read_preprocess(of_processor, architecture)
        align = load_align(files)
    correct_image_tower(align.vision_model, settings)
    return ImageTowerRead(
        tower=align.vision_model,
        width=align.config.projection_dim,
        color_scaling=preprocess.color_scaling(),
    )


def check_sides(model: str, sides_px: Iterable[int]) -> None:
    """Check that a model's image tower can take square crops of some sides.

    Raises:
        InputError: the folder is not that of an ALIGN, or the tower cannot take images so small.
    """
    with opened(model) as files:
        _check_sides(model, read_architecture(files), sides_px)


def _check_sides(model: str, architecture: Architecture, sides_px: Iterable[int]) -> None:
    for side_px in sides_px:
        try:
            check_image_size(architecture, height_px=side_px, width_px=side_px)
        except ValueError as error:
            raise InputError(f"{model}: {error}") from error
