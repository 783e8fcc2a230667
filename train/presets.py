"""The sizes of the two families of towers (ALIGN §6.1), in one table each."""

from typing import Literal, NamedTuple

ImagePreset = Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "l2"]
TextPreset = Literal["mini", "small", "medium", "base", "large"]


class ImageShape(NamedTuple):
    """EfficientNet's two coefficients."""

    width: float
    depth: float


class TextShape(NamedTuple):
    """BERT's three sizes."""

    num_layers: int
    hidden_size: int
    num_heads: int


# ALIGN §6.1 names B1, B3, B5, B7, L2 and Mini, Base, Large; the rest complete the two families.
IMAGE_PRESETS: dict[str, ImageShape] = {
    "b0": ImageShape(1.0, 1.0),
    "b1": ImageShape(1.0, 1.1),
    "b2": ImageShape(1.1, 1.2),
    "b3": ImageShape(1.2, 1.4),
    "b4": ImageShape(1.4, 1.8),
    "b5": ImageShape(1.6, 2.2),
    "b6": ImageShape(1.8, 2.6),
    "b7": ImageShape(2.0, 3.1),
    "l2": ImageShape(4.3, 5.3),
}
TEXT_PRESETS: dict[str, TextShape] = {
    "mini": TextShape(4, 256, 4),
    "small": TextShape(4, 512, 8),
    "medium": TextShape(8, 512, 8),
    "base": TextShape(12, 768, 12),
    "large": TextShape(24, 1024, 16),
}
