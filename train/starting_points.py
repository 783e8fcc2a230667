"""Settings of what a run begins from instead of drawn weights: `train.init_from`, by kind.

The content of what they name is part of the run's identity; where it lies is not. `train.start`
reads it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from openalign.settings.fields import location
from openalign.settings.limits import positive

INIT_FROM = "init_from"
"""The name of its content's hash among the inputs of a training."""

_EFFICIENTNET = re.compile(r"tf_efficientnet_(b[0-7]|l2)|efficientnet_b[0-7]")

Colors = tuple[float, ...]
"""A number for each of red, green and blue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FromModel:
    """Begin with the weights, the vocabulary and the preprocessing of a model."""

    kind: Literal["model"] = "model"
    """What to begin from: a model's folder."""

    path: str = location()
    """A Hugging Face ALIGN folder, as `AlignModel.save_pretrained` with its processor and
    `openalign train` write it; a path or any fsspec URL, such as `hf://kakaobrain/align-base`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FromRun:
    """Begin with what the complete training of another run has made."""

    kind: Literal["run"] = "run"
    """What to begin from: a run."""

    root: str = location()
    """The run's root, a folder or URL, such as `runs/align`."""

    state: Literal["weights", "all"] = "weights"
    """`weights`: begin with its export. `all`: go on from its last checkpoint, with moments,
    averages, steps and pairs, as for a longer or cooler schedule; `duration` counts its steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWeights:
    """Weights of an EfficientNet that was trained to classify; its head is left out."""

    path: str = location()
    """A state dict of timm or torchvision: a `.safetensors`, `.pt` or `.pth` file or URL."""

    architecture: str
    """Its name: timm's `tf_efficientnet_b0` to `b7` or `l2`, which the image tower equals; or
    `efficientnet_b0` to `b7` of timm or torchvision, which it equals but for a shift of the image
    by one pixel."""

    mean: Colors = (0.485, 0.456, 0.406)
    """What is subtracted from colors from 0 to 1; ImageNet's by default."""

    std: Colors = (0.229, 0.224, 0.225)
    """What they are then divided by."""

    def __post_init__(self) -> None:
        if not _EFFICIENTNET.fullmatch(self.architecture):
            raise ValueError(
                "architecture must be tf_efficientnet_b0 to tf_efficientnet_b7, tf_efficientnet_l2 "
                f"or efficientnet_b0 to efficientnet_b7, got {self.architecture!r}"
            )
        for name, colors in (("mean", self.mean), ("std", self.std)):
            if len(colors) != 3:
                raise ValueError(f"{name} must have 3 numbers, got {len(colors)}")
        positive(**{f"std[{number}]": value for number, value in enumerate(self.std)})


@dataclass(frozen=True, slots=True, kw_only=True)
class FromTowers:
    """Begin with an EfficientNet, a BERT or both; what neither has is drawn."""

    kind: Literal["towers"] = "towers"
    """What to begin from: single towers."""

    image: ImageWeights | None = None
    """An EfficientNet for the image tower; null draws the tower."""

    text: str = location("")
    """Folder or URL of a Hugging Face BERT, with its tokenizer, for the text tower; empty draws the
    tower and learns a vocabulary."""

    def __post_init__(self) -> None:
        if self.image is None and not self.text:
            raise ValueError("image or text must be set: else there is nothing to begin from")


StartingPoint = FromModel | FromRun | FromTowers


def brings_words(start: StartingPoint | None) -> bool:
    """Tell whether a vocabulary comes along, so that none is learned."""
    return start is not None and not (isinstance(start, FromTowers) and not start.text)


def located(start: StartingPoint, rewrite: Callable[[str], str]) -> StartingPoint:
    """Return the settings with every path or URL rewritten."""
    match start:
        case FromModel():
            return replace(start, path=rewrite(start.path))
        case FromRun():
            return replace(start, root=rewrite(start.root))
        case FromTowers():
            image = start.image and replace(start.image, path=rewrite(start.image.path))
            return replace(start, image=image, text=start.text and rewrite(start.text))
