"""The two families of towers (ALIGN §6.1): their sizes, in one table each, and their settings."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from openalign.settings.fields import runtime
from openalign.settings.limits import positive, share

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


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBatchNorm:
    """Batch norm over all images of a block (`train.block_size`)."""

    kind: Literal["local"] = "local"
    """Which images are normalized together: those of a block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostBatchNorm:
    """Batch norm over parts of a block, as ALIGN's public reproduction needed it."""

    kind: Literal["ghost"] = "ghost"
    """Which images are normalized together: those of a part of a block."""

    group_size: int = 16
    """Images of a part; blocks are a multiple of it. 16 is COYO-ALIGN's; the paper does not say."""

    def __post_init__(self) -> None:
        if self.group_size < 2:
            raise ValueError(
                f"group_size must be at least 2, got {self.group_size}: an image alone has no "
                "statistics where its map is one pixel"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncBatchNorm:
    """Batch norm over one block of every rank: results depend on the number of ranks."""

    kind: Literal["sync"] = "sync"
    """Which images are normalized together: those that all ranks hold in one pass."""


BatchNorm = LocalBatchNorm | GhostBatchNorm | SyncBatchNorm

LEAST_BLOCK = 2
"""Batch norm has no statistics of an image alone."""


def block_multiple(batch_norm: BatchNorm) -> int:
    """Return what the size of a block is a multiple of."""
    return batch_norm.group_size if isinstance(batch_norm, GhostBatchNorm) else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTower:
    """EfficientNet without the head convolution; its last block's width is the embedding's."""

    preset: ImagePreset = "l2"
    """A size of the family (ALIGN §5: L2)."""

    width: float | None = None
    """Channel multiplier; the preset's when null."""

    depth: float | None = None
    """Block multiplier; the preset's when null."""

    stochastic_depth: float = 0.2
    """Chance that the last block is skipped for a sample, growing linearly with depth from 0."""

    batch_norm: LocalBatchNorm | GhostBatchNorm | SyncBatchNorm = field(
        default_factory=LocalBatchNorm
    )
    """Which images share the statistics by which they are normalized. The paper does not say."""

    batch_norm_momentum: float = 0.01
    """Weight of a new batch in the running statistics; 0.01 is Keras' 0.99. Short runs need 0.1."""

    gradient_checkpointing: bool = runtime(False)
    """Recompute each layer in the backward pass, to save memory; no gradient changes."""

    def __post_init__(self) -> None:
        positive(width=self.width, depth=self.depth)
        share(stochastic_depth=self.stochastic_depth)
        if not 0 < self.batch_norm_momentum <= 1:
            raise ValueError(
                "batch_norm_momentum must be above 0 and at most 1, got "
                f"{self.batch_norm_momentum}: it is the new batch's weight"
            )

    @property
    def shape(self) -> ImageShape:
        """The coefficients in use."""
        preset = IMAGE_PRESETS[self.preset]
        return ImageShape(
            preset.width if self.width is None else self.width,
            preset.depth if self.depth is None else self.depth,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTower:
    """BERT; a linear layer takes its first token to the image embedding's width."""

    preset: TextPreset = "large"
    """A size of the family (ALIGN §5: Large)."""

    num_layers: int | None = None
    """Transformer layers; the preset's when null."""

    hidden_size: int | None = None
    """Width of a token; the preset's when null."""

    num_heads: int | None = None
    """Attention heads; the preset's when null."""

    dropout: float = 0.1
    """On hidden states and attention weights, as in BERT; the paper does not say."""

    gradient_checkpointing: bool = runtime(False)
    """Recompute each layer in the backward pass, to save memory; no gradient changes."""

    def __post_init__(self) -> None:
        positive(num_layers=self.num_layers, hidden_size=self.hidden_size, num_heads=self.num_heads)
        share(dropout=self.dropout)
        if self.shape.hidden_size % self.shape.num_heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_heads, got {self.shape.hidden_size} and "
                f"{self.shape.num_heads}"
            )

    @property
    def shape(self) -> TextShape:
        """The sizes in use."""
        preset = TEXT_PRESETS[self.preset]
        return TextShape(
            preset.num_layers if self.num_layers is None else self.num_layers,
            preset.hidden_size if self.hidden_size is None else self.hidden_size,
            preset.num_heads if self.num_heads is None else self.num_heads,
        )
