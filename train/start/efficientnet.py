"""EfficientNet as timm and torchvision name it, for the image tower.

timm's `tf_efficientnet_*` pads as TensorFlow does, and so does the library's tower: both compute
the same wherever a map has an even side. timm's other ones and torchvision's pad alike on all
sides. The tower can do so in its blocks (`depthwise_padding`), but not in its stem, whose window
begins one pixel further to the lower right.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from openalign.errors import InputError
from openalign.train.model.architecture import VisionConfig
from openalign.train.presets import IMAGE_PRESETS, ImageShape

TF = "tf_"
"""How timm calls those that were made with TensorFlow."""

_COUNTER = ".num_batches_tracked"
_STEM: tuple[str, ...] = ("embeddings.convolution", "embeddings.batchnorm")
_BLOCK = (
    "expansion.expand_conv",
    "expansion.expand_bn",
    "depthwise_conv.depthwise_conv",
    "depthwise_conv.depthwise_norm",
    "squeeze_excite.reduce",
    "squeeze_excite.expand",
    "projection.project_conv",
    "projection.project_bn",
)
"""The layers of a block; one that does not expand lacks the first two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What a library calls the layers of an EfficientNet."""

    stem: tuple[str, str]
    first_stage: int
    """The number of the first stage of blocks."""

    stage: str
    block: tuple[str, ...]
    """Its layers, in the order of ours."""

    block_without_expansion: tuple[str, ...]
    head: tuple[str, ...]
    """What the names of the layers begin with that the tower does not have."""

    epsilon: Mapping[str, float]
    """The batch norms' epsilon by the size, where it is not 1e-5."""

    def in_file(self, vision: VisionConfig) -> dict[str, str]:
        """Return the library's name of each layer of the image tower, by ours."""
        found: dict[str, str] = dict(zip(_STEM, self.stem, strict=True))
        number = 0
        for stage, repeats in enumerate(vision.num_block_repeats):
            expands = vision.expand_ratios[stage] != 1
            layers = self.block if expands else self.block_without_expansion
            for index in range(math.ceil(vision.depth_coefficient * repeats)):
                base = f"{self.stage}.{stage + self.first_stage}.{index}"
                for own, layer in zip(_BLOCK[-len(layers) :], layers, strict=True):
                    found[f"encoder.blocks.{number}.{own}"] = f"{base}.{layer}"
                number += 1
        return found

    def check_rest(self, url: str, names: Collection[str], used: Collection[str]) -> None:
        """Refuse a file that holds more than the tower and a head.

        Raises:
            InputError: names the first tensor of another network.
        """
        rest = {n for n in names if n not in used and not n.startswith(self.head)}
        rest = {name for name in rest if not name.endswith(_COUNTER)}
        if rest:
            raise InputError(
                f"{url}: {min(rest)} is no tensor of the EfficientNet that `architecture` names"
            )


TIMM = Naming(
    stem=("conv_stem", "bn1"),
    stage="blocks",
    first_stage=0,
    block=(
        *("conv_pw", "bn1", "conv_dw", "bn2", "se.conv_reduce", "se.conv_expand"),
        *("conv_pwl", "bn3"),
    ),
    block_without_expansion=(
        *("conv_dw", "bn1", "se.conv_reduce", "se.conv_expand", "conv_pw", "bn2"),
    ),
    head=("conv_head.", "bn2.", "classifier."),
    epsilon={},
)
TORCHVISION = Naming(
    stem=("features.0.0", "features.0.1"),
    stage="features",
    first_stage=1,
    block=(
        *("block.0.0", "block.0.1", "block.1.0", "block.1.1", "block.2.fc1", "block.2.fc2"),
        *("block.3.0", "block.3.1"),
    ),
    block_without_expansion=(
        *("block.0.0", "block.0.1", "block.1.fc1", "block.1.fc2", "block.2.0", "block.2.1"),
    ),
    head=("features.8.", "classifier."),
    epsilon=dict.fromkeys(("b5", "b6", "b7"), 1e-3),
)


def naming_of(names: Collection[str]) -> Naming:
    """Tell by its names whose state dict it is; timm's where neither's."""
    return TORCHVISION if f"{TORCHVISION.stem[0]}.weight" in names else TIMM


def shape_of(architecture: str) -> ImageShape:
    """Return the coefficients of a named EfficientNet."""
    return IMAGE_PRESETS[_preset(architecture)]


def vision_config(architecture: str, naming: Naming, *, crop_px: int) -> VisionConfig:
    """Return the library's description of a named EfficientNet."""
    shape = shape_of(architecture)
    sized = VisionConfig(
        image_size=crop_px,
        width_coefficient=shape.width,
        depth_coefficient=shape.depth,
        hidden_dim=max(64, math.ceil(crop_px / 16)),  # the pooling window: all of the last map
    )
    if architecture.startswith(TF):
        return sized
    return msgspec.structs.replace(
        sized,
        batch_norm_eps=naming.epsilon.get(_preset(architecture), 1e-5),
        depthwise_padding=tuple(range(sized.num_blocks)),
    )


def _preset(architecture: str) -> str:
    return architecture.rpartition("_")[2]
