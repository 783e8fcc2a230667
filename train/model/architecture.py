"""A model folder's `config.json`: the sizes of the towers, typed, and nothing else of it.

The library lets a `config.json` name code to import, attention kernels to download and weights to
quantize. Here only the keys that describe the towers are read. A key that would change in another
way what is computed is refused; the many others that the library writes are passed over.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
from msgspec import Meta

from openalign.errors import InputError
from openalign.files.folder import Folder, as_record
from openalign.train.saved_files import CONFIG_FILE

if TYPE_CHECKING:
    from transformers import AlignConfig

ACTIVATIONS = (
    *("gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python"),
    *("gelu_python_tanh", "gelu_pytorch_tanh", "hardswish", "leaky_relu", "linear", "mish"),
    *("quick_gelu", "relu", "relu2", "relu6", "sigmoid", "silu", "swish", "tanh"),
)
"""The library's activations that have no weights and one usual form."""

_Size = Annotated[int, Meta(ge=1, le=1 << 16)]
_Share = Annotated[float, Meta(ge=0.0, le=1.0)]
_Epsilon = Annotated[float, Meta(gt=0.0, le=1.0)]
_Factor = Annotated[float, Meta(gt=0.0, le=100.0)]
_Small = Annotated[int, Meta(ge=1, le=64)]

_ATTENTION = (None, "eager", "sdpa")
_ALLOWED: Mapping[str, tuple[Any, ...]] = {
    "quantization_config": (None,),
    "auto_map": (None,),
    "adapters": (None,),
    "adapter_fusion_config": (None,),
    "peft_config": (None,),
    "attn_implementation": _ATTENTION,
    "_attn_implementation": _ATTENTION,
    "position_embedding_type": (None, "absolute"),
    "is_decoder": (None, False),
    "add_cross_attention": (None, False),
    "pruned_heads": (None, {}),
}
"""Keys that change a model beyond its sizes, and the values that leave it as it is."""


class TextConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`text_config`: a BERT, by the library's names and with the library's defaults."""

    vocab_size: Annotated[int, Meta(ge=1, le=10_000_000)] = 30522
    hidden_size: _Size = 768
    num_hidden_layers: Annotated[int, Meta(ge=1, le=512)] = 12
    num_attention_heads: _Size = 12
    intermediate_size: Annotated[int, Meta(ge=1, le=1 << 20)] = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: _Share = 0.1
    attention_probs_dropout_prob: _Share = 0.1
    max_position_embeddings: Annotated[int, Meta(ge=3, le=1 << 20)] = 512
    type_vocab_size: _Size = 2
    initializer_range: _Share = 0.02
    layer_norm_eps: _Epsilon = 1e-12
    pad_token_id: Annotated[int, Meta(ge=0)] | None = 0


class VisionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`vision_config`: an EfficientNet, by the library's names and with the library's defaults."""

    num_channels: int = 3
    image_size: _Size = 600
    """Side in pixels of the images that the tower is meant for; it takes others too."""

    width_coefficient: _Factor = 2.0
    depth_coefficient: _Factor = 3.1
    depth_divisor: Annotated[int, Meta(ge=1, le=1024)] = 8
    kernel_sizes: tuple[_Small, ...] = (3, 3, 5, 3, 5, 5, 3)
    in_channels: tuple[_Size, ...] = (32, 16, 24, 40, 80, 112, 192)
    out_channels: tuple[_Size, ...] = (16, 24, 40, 80, 112, 192, 320)
    depthwise_padding: tuple[Annotated[int, Meta(ge=0)], ...] = ()
    strides: tuple[Annotated[int, Meta(ge=1, le=2)], ...] = (1, 2, 2, 2, 1, 2, 1)
    num_block_repeats: tuple[_Small, ...] = (1, 2, 2, 3, 3, 4, 1)
    expand_ratios: tuple[_Small, ...] = (1, 6, 6, 6, 6, 6, 6)
    squeeze_expansion_ratio: _Factor = 0.25
    hidden_act: str = "swish"
    hidden_dim: Annotated[int, Meta(ge=1, le=1 << 20)] = 2560
    pooling_type: str = "mean"
    initializer_range: _Share = 0.02
    batch_norm_eps: _Epsilon = 0.001
    batch_norm_momentum: _Share = 0.99
    drop_connect_rate: _Share = 0.2

    @property
    def by_stage(self) -> dict[str, Sequence[int]]:
        """The lists that have one number for each stage of blocks."""
        return {
            "num_block_repeats": self.num_block_repeats,
            "kernel_sizes": self.kernel_sizes,
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "strides": self.strides,
            "expand_ratios": self.expand_ratios,
        }

    @property
    def num_blocks(self) -> int:
        """The blocks of all stages."""
        return sum(math.ceil(self.depth_coefficient * n) for n in self.num_block_repeats)

    def map_px(self, side_px: int) -> int:
        """Return the side of the last feature map, for the same side of an image."""
        side_px //= 2  # the stem
        num_blocks = 0
        stages = zip(self.num_block_repeats, self.kernel_sizes, self.strides, strict=True)
        for repeats, kernel, stride in stages:
            if stride == 2:  # in the first block of a stage; `depthwise_padding` pads both sides
                padding = 2 * (kernel // 2) - (num_blocks not in self.depthwise_padding)
                side_px = (side_px + padding - kernel) // 2 + 1
            num_blocks += math.ceil(self.depth_coefficient * repeats)
        return side_px


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """What `config.json` says of the two towers."""

    text_config: TextConfig
    vision_config: VisionConfig
    projection_dim: _Size = 640
    attention: str | None = None
    """The kernel that the file asks for, `eager` or `sdpa`; None leaves it to the library."""

    @property
    def num_layers(self) -> int:
        """The layers of the text tower and the blocks of the image tower."""
        return self.text_config.num_hidden_layers + self.vision_config.num_blocks

    def to_library(self) -> "AlignConfig":
        """Return the library's description: these keys, and its own defaults for all others."""
        from transformers import AlignConfig, AlignTextConfig, AlignVisionConfig

        values: dict[str, Any] = {
            "text_config": AlignTextConfig(**msgspec.structs.asdict(self.text_config)),
            "vision_config": AlignVisionConfig(**msgspec.structs.asdict(self.vision_config)),
            "projection_dim": self.projection_dim,
            "attn_implementation": self.attention,
        }
        return AlignConfig(**values)


def read_architecture(folder: Folder) -> Architecture:
    """Read a model folder's `config.json`.

    Raises:
        InputError: names the key that is not that of an ALIGN, or would do more than describe it.
    """
    url = folder.url_of(CONFIG_FILE)
    values = folder.read_json(CONFIG_FILE, dict[str, Any])
    kind = values.get("model_type")
    if kind != "align":
        raise InputError(f"{url}: holds a model of type `{kind}`, `align` is needed")
    parts = {"text_config": "align_text_model", "vision_config": "align_vision_model"}
    for key, wanted in parts.items():
        if not isinstance(values.get(key), dict):
            raise InputError(f"{url}: `{key}` must be an object, got {values.get(key)!r}")
        _check_choice(url, f"{key}.model_type", values[key].get("model_type"), (None, wanted))
    attention = _check_steering(url, values, parts)
    read = as_record(values, Architecture, where=url)
    found = msgspec.structs.replace(read, attention=attention)
    _check_text(url, found.text_config)
    _check_image(url, found.vision_config)
    return found


def read_bert(folder: Folder) -> TextConfig:
    """Read the `config.json` of a BERT's folder.

    Raises:
        InputError: names the key that is not that of a BERT, or would do more than describe it.
    """
    url = folder.url_of(CONFIG_FILE)
    values = folder.read_json(CONFIG_FILE, dict[str, Any])
    _check_choice(url, "model_type", values.get("model_type"), ("bert",))
    _check_steering(url, values, {})
    found = as_record(values, TextConfig, where=url)
    _check_text(url, found, part="")
    return found


def check_image_size(architecture: Architecture, *, height_px: int, width_px: int) -> None:
    """Check that an image of this size becomes one vector.

    Raises:
        ValueError: it is too small for the tower, or too large for the window that is pooled.
    """
    image = architecture.vision_config
    sides = sorted([image.map_px(height_px), image.map_px(width_px)])
    if not 1 <= sides[0] <= sides[1] <= image.hidden_dim:
        raise ValueError(
            f"the image tower takes no {width_px} x {height_px} images: its last map must have a "
            f"side of 1 to `vision_config.hidden_dim` {image.hidden_dim}, the window that is "
            f"pooled, and has {image.map_px(width_px)} x {image.map_px(height_px)}"
        )


def _check_steering(url: str, values: Mapping[str, Any], parts: Mapping[str, str]) -> str | None:
    """Return the attention kernel that any part asks for."""
    asked: list[str | None] = []
    for part in ("", *parts):
        section = cast("Mapping[str, Any]", values[part] if part else values)
        for key, allowed in _ALLOWED.items():
            _check_choice(url, f"{part}.{key}".lstrip("."), section.get(key), allowed)
            asked += [section[key]] if allowed is _ATTENTION and section.get(key) else []
    return asked[0] if asked else None


def _check_text(url: str, text: TextConfig, *, part: str = "text_config.") -> None:
    _check_choice(url, f"{part}hidden_act", text.hidden_act, ACTIVATIONS)
    if text.hidden_size % text.num_attention_heads:
        raise InputError(
            f"{url}: `{part}hidden_size` {text.hidden_size} must be a multiple of "
            f"`num_attention_heads` {text.num_attention_heads}"
        )
    if text.pad_token_id is not None and text.pad_token_id >= text.vocab_size:
        raise InputError(
            f"{url}: `{part}pad_token_id` must be below `vocab_size` {text.vocab_size}, "
            f"got {text.pad_token_id}"
        )


def _check_image(url: str, image: VisionConfig) -> None:
    _check_choice(url, "vision_config.num_channels", image.num_channels, (3,))
    _check_choice(url, "vision_config.hidden_act", image.hidden_act, ACTIVATIONS)
    _check_choice(url, "vision_config.pooling_type", image.pooling_type, ("mean", "max"))
    num_stages = len(image.num_block_repeats)
    for key, numbers in image.by_stage.items():
        if not 1 <= len(numbers) == num_stages <= 32:
            raise InputError(
                f"{url}: `vision_config.{key}` has {len(numbers)} numbers; each stage of blocks "
                f"needs one, from 1 to 32 in all, and `num_block_repeats` has {num_stages}"
            )
    if image.num_blocks > 2048:
        raise InputError(
            f"{url}: `vision_config` describes {image.num_blocks} blocks, at most 2048 are read"
        )


def _check_choice(url: str, key: str, found: Any, allowed: Sequence[Any]) -> None:
    if not any(found == value and type(found) is type(value) for value in allowed):
        choices = ", ".join("absent" if value is None else repr(value) for value in allowed)
        raise InputError(f"{url}: `{key}` must be {choices}, got {found!r}")
