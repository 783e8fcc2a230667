"""The two towers: Hugging Face's `AlignModel`, corrected for training from scratch.

`AlignModel` is the architecture and the checkpoint format. Only this file corrects what its code
gets wrong for training: batch-norm momentum (the library reads Keras' 0.99 as the new
batch's weight, and not on every layer), fan-out initialization, stochastic depth by sample, the
pooler that ALIGN does not use, a temperature that DeepSpeed cannot broadcast, and batch norm
(`batch_norm.py`).

Shape suffixes:
    B  pairs on this rank
    b  pairs of one forward pass
    D  embedding width
    T  tokens of the longest text on this rank
    t  tokens of the longest text of one forward pass
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import msgspec
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AlignConfig, AlignModel, AlignTextConfig, AlignVisionConfig

from openalign.train.config import ModelConfig, TrainConfig
from openalign.train.data.order import seed_at
from openalign.train.data.pixel_batch import PixelRows
from openalign.train.model.batch_norm import batch_norms, pass_statistics, replace_batch_norms
from openalign.train.model.depthwise import hasten_small_maps
from openalign.train.model.parameter_patterns import freeze, is_frozen
from openalign.train.model.pretrained import Pretrained
from openalign.train.presets import ImageTower

WRAPPED = "align."
"""Where `Towers` keeps the library's model."""

_LAST_CHANNELS = 320
"""Output channels of EfficientNet's last block at width 1."""


class Pass(NamedTuple):
    """One forward pass: a block of this rank's pairs."""

    start: int
    stop: int
    """Rows of the block among those that the towers are called with."""

    num_tokens: int
    """Length to which the block's texts are padded; what follows in a row is padding too."""

    seed: int
    """Seed of what is drawn: dropout and stochastic depth."""

    counts: bool = True
    """False where the pass is made only because other ranks make one; its result is dropped."""


class Towers(nn.Module):
    """Both encoders and the temperature; call it to get unit embeddings of pairs."""

    def __init__(
        self, align: AlignModel, *, temperature: float, autocast: bool, compiled: bool
    ) -> None:
        super().__init__()
        align.text_model.pooler = None  # no part of ALIGN; without a gradient it would only decay
        del align.temperature
        self.align = align
        # One element, not a scalar, and held by the module whose forward reads it: DeepSpeed can
        # neither broadcast a 0-dimensional parameter nor, in stage 3, gather it anywhere else.
        self.temperature = nn.Parameter(torch.full((1,), temperature))
        self.statistics_of_passes: list[Tensor] = []
        """Batch-norm statistics of each pass of the last call that counts."""
        self._autocast = autocast
        embed = self._embed_block
        self._embed = torch.compile(embed, dynamic=False) if compiled else embed

    def train(self, mode: bool = True) -> "Towers":  # noqa: FBT001, FBT002  # torch's own
        """Set the mode of all but what is frozen whole, which is always in evaluation mode.

        Nothing is dropped in it, and its batch norms keep their statistics.
        """
        super().train(mode)
        for module in self.modules():
            if is_frozen(module):
                module.eval()
        return self

    def forward(
        self, pixels: PixelRows, ids_BT: Tensor, mask_BT: Tensor, passes: Sequence[Pass] = ()
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return `image_BD`, `text_BD`, both with unit rows, and the temperature.

        With several passes only embeddings are kept of each. The backward pass runs a block again
        with the same draws before it goes through it: the gradients are those of one graph over
        all blocks, at the memory of one block. Without passes the rows are one block, and the
        global random state is drawn from.
        """
        self.statistics_of_passes = []
        # A new tensor: stage 3 frees the parameter itself when this function ends.
        temperature = self.temperature * 1.0
        if not passes:
            image_BD, text_BD = self._embed(pixels[:], ids_BT, mask_BT)
            self._note_statistics()
            return image_BD, text_BD, temperature
        run = self._run if len(passes) == 1 else partial(recomputed, self._run)
        embedded: list[tuple[Tensor, Tensor]] = []
        for each in passes:
            image_bD, text_bD = run(each, pixels, ids_BT, mask_BT)
            if each.counts:
                embedded.append((image_bD, text_bD))
                self._note_statistics()
            else:  # in the graph, so that the backward pass goes through it on every rank
                temperature = temperature + 0.0 * (image_bD.sum() + text_bD.sum())
        images, texts = zip(*embedded, strict=True)
        return torch.cat(images), torch.cat(texts), temperature

    def _run(
        self, this: Pass, pixels: PixelRows, ids_BT: Tensor, mask_BT: Tensor
    ) -> tuple[Tensor, Tensor]:
        torch.manual_seed(this.seed)
        rows, tokens = slice(this.start, this.stop), slice(this.num_tokens)
        return self._embed(pixels[rows], ids_BT[rows, tokens], mask_BT[rows, tokens])

    def _embed_block(
        self, pixels: Tensor, ids_bt: Tensor, mask_bt: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self._autocast):
            image_bD = self.align.vision_model(pixel_values=pixels).pooler_output
            hidden_btH = self.align.text_model(
                input_ids=ids_bt, attention_mask=self._added_to_scores(mask_bt)
            ).last_hidden_state
            text_bD = self.align.text_projection(hidden_btH[:, 0])
        exact = torch.promote_types(image_bD.dtype, torch.float32)  # from bf16 under autocast
        return F.normalize(image_bD.to(exact)), F.normalize(text_bD.to(exact))

    def _added_to_scores(self, mask_bt: Tensor) -> Tensor:
        """Return `[b, 1, 1, t]`, what the library's attention adds to the scores of tokens.

        Given a mask the library would wait for the device, in each pass, to know whether there is
        padding at all; without any it adds nothing, which is adding 0.
        """
        dtype = self.temperature.dtype
        added_bt = torch.zeros_like(mask_bt, dtype=dtype)
        return added_bt.masked_fill_(mask_bt == 0, torch.finfo(dtype).min)[:, None, None]

    def _note_statistics(self) -> None:
        layers = batch_norms(self)
        if any(layer.training for layer in layers):
            self.statistics_of_passes.append(pass_statistics(layers))


def build_towers(
    config: TrainConfig, *, vocabulary_size: int, pretrained: Pretrained | None = None
) -> Towers:
    """Return towers with the weights that there are; the rest is drawn, a function of the seed."""
    model = config.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_at(config.seed, 0))
        align = AlignModel(
            align_config(model, vocabulary_size=vocabulary_size, pretrained=pretrained)
        )
        _draw_convolutions(align)
    correct_image_tower(align.vision_model, model.image_tower)
    for layer in cast("Iterable[Any]", align.text_model.encoder.layer):
        if model.text_tower.gradient_checkpointing:
            layer.forward = partial(recomputed, layer.forward)
    towers = Towers(
        align,
        temperature=config.temperature.initial,
        autocast=config.precision == "bf16",
        compiled=config.compile,
    )
    if pretrained is not None:
        _load(towers, pretrained.weights)
    freeze(towers, config.frozen)
    return towers.train()


def correct_image_tower(tower: nn.Module, settings: ImageTower) -> None:
    """Correct a library's image tower for training: batch norm, stochastic depth, small maps.

    The chance that a block is skipped is the one that the tower has.
    """
    hasten_small_maps(tower)
    replace_batch_norms(tower, momentum=settings.batch_norm_momentum, kind=settings.batch_norm)
    for layer in cast("Iterable[Any]", tower.encoder.blocks):  # pyright: ignore[reportAttributeAccessIssue]
        layer.projection.dropout = StochasticDepth(layer.projection.dropout.p)
        if settings.gradient_checkpointing:
            layer.forward = partial(recomputed, layer.forward)


def align_config(
    model: ModelConfig, *, vocabulary_size: int, pretrained: Pretrained | None = None
) -> AlignConfig:
    """Return the library's description of the two towers.

    A pretrained tower is described as it was. Only how it is regularized is said by the settings.
    """
    image, text = model.image_tower, model.text_tower
    vision, bert = (pretrained.vision, pretrained.text) if pretrained else (None, None)
    sizes = _vision_sizes(model) if vision is None else msgspec.structs.asdict(vision)
    vision_config = AlignVisionConfig(
        **{
            **sizes,
            "image_size": model.crop_px,
            "drop_connect_rate": image.stochastic_depth,
            "batch_norm_momentum": image.batch_norm_momentum,
        }
    )
    sizes = _text_sizes(model, vocabulary_size) if bert is None else msgspec.structs.asdict(bert)
    text_config = AlignTextConfig(
        **{
            **sizes,
            "hidden_dropout_prob": text.dropout,
            "attention_probs_dropout_prob": text.dropout,
        }
    )
    channels = _LAST_CHANNELS if vision is None else vision.out_channels[-1]
    divisor = 8 if vision is None else vision.depth_divisor
    return AlignConfig(
        text_config=text_config,
        vision_config=vision_config,
        projection_dim=embedding_width(image.shape.width, channels=channels, divisor=divisor),
    )


def _vision_sizes(model: ModelConfig) -> dict[str, Any]:
    return {
        "width_coefficient": model.image_tower.shape.width,
        "depth_coefficient": model.image_tower.shape.depth,
        # Only the pooling window: anything at least as large as the last map means all of it.
        "hidden_dim": max(64, math.ceil(model.crop_px / 16)),
    }


def _text_sizes(model: ModelConfig, vocabulary_size: int) -> dict[str, Any]:
    shape = model.text_tower.shape
    return {
        "vocab_size": vocabulary_size,
        "hidden_size": shape.hidden_size,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "intermediate_size": 4 * shape.hidden_size,
        "max_position_embeddings": max(64, model.max_tokens),
    }


def embedding_width(width: float, *, channels: int = _LAST_CHANNELS, divisor: int = 8) -> int:
    """Return the channels of the image tower's last block: a multiple of 8 (640 for B7)."""
    wanted = channels * width
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded


@torch.no_grad()
def _load(towers: Towers, weights: Mapping[str, Tensor]) -> None:
    """Put weights in the place of those that were drawn, by the library's names."""
    own = towers.state_dict()
    for name, values in weights.items():
        of_towers = own["temperature" if name == "temperature" else f"{WRAPPED}{name}"]
        of_towers.copy_(values.reshape(of_towers.shape))


class StochasticDepth(nn.Module):
    """Drop a residual branch for whole samples; those that stay are scaled up to keep the mean."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, branch: Tensor) -> Tensor:
        """Return the branch, zero in the samples that skip it."""
        if not self.training or self.probability == 0.0:
            return branch
        shape = (len(branch), *(1 for _ in branch.shape[1:]))
        keep = 1.0 - self.probability
        return branch * torch.empty(shape, device=branch.device).bernoulli_(keep).div_(keep)


@torch.no_grad()
def _draw_convolutions(align: AlignModel) -> None:
    """Draw as EfficientNet does: normal of variance 2 / fan-out, by filter group."""
    for layer in align.vision_model.modules():
        if isinstance(layer, nn.Conv2d):
            rows, columns = layer.kernel_size
            fan_out = rows * columns * layer.out_channels // layer.groups
            layer.weight.normal_(std=math.sqrt(2.0 / fan_out))


def recomputed(forward: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """Run `forward` without keeping its activations; the backward pass runs it again.

    It runs to its end then: under ZeRO-3 a module that is left early would keep its parameters.
    """
    return checkpoint(partial(forward, **options), *inputs, use_reentrant=False, early_stop=False)
