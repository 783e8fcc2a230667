"""The two towers: Hugging Face's `AlignModel`, corrected for training from scratch.

`AlignModel` is the architecture and the checkpoint format. Only this file corrects what its code
gets wrong for training: batch-norm momentum (the library reads Keras' 0.99 as the new
batch's weight, and not on every layer), fan-out initialization, stochastic depth by sample, the
pooler that ALIGN does not use, a temperature that DeepSpeed cannot broadcast, and batch norms
that cuDNN cannot run on DeepSpeed's parameters.

Shape suffixes:
    B  pairs on this rank
    D  embedding width
    T  tokens of the batch's longest text
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import math
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, cast

import msgspec
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AlignConfig, AlignModel, AlignTextConfig, AlignVisionConfig

from openalign.train.config import ModelConfig, TrainConfig
from openalign.train.data.order import seed_at
from openalign.train.model.parameter_patterns import freeze, is_frozen
from openalign.train.model.pretrained import Pretrained

WRAPPED = "align."
"""Where `Towers` keeps the library's model."""

_LAST_CHANNELS = 320
"""Output channels of EfficientNet's last block at width 1."""


class Towers(nn.Module):
    """Both encoders and the temperature; call it to get unit embeddings of pairs."""

    def __init__(self, align: AlignModel, *, temperature: float, autocast: bool) -> None:
        super().__init__()
        align.text_model.pooler = None  # no part of ALIGN; without a gradient it would only decay
        del align.temperature
        self.align = align
        # One element, not a scalar, and held by the module whose forward reads it: DeepSpeed can
        # neither broadcast a 0-dimensional parameter nor, in stage 3, gather it anywhere else.
        self.temperature = nn.Parameter(torch.full((1,), temperature))
        self._autocast = autocast

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
        self, pixels: Tensor, ids_BT: Tensor, mask_BT: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return `image_BD`, `text_BD`, both with unit rows, and the temperature."""
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self._autocast):
            image_BD = self.align.vision_model(pixel_values=pixels).pooler_output
            hidden_BTH = self.align.text_model(
                input_ids=ids_BT, attention_mask=mask_BT
            ).last_hidden_state
            text_BD = self.align.text_projection(hidden_BTH[:, 0])
        # A new tensor: stage 3 frees the parameter itself when this function ends.
        temperature = self.temperature * 1.0
        return F.normalize(image_BD.float()), F.normalize(text_BD.float()), temperature


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
    for layer in cast("Iterable[Any]", _batch_norms(align)):
        layer.momentum = model.image_tower.batch_norm_momentum
        layer.forward = partial(_without_cudnn, layer.forward)
    for block in cast("Iterable[Any]", align.vision_model.encoder.blocks):
        block.projection.dropout = StochasticDepth(block.projection.dropout.p)
        if model.image_tower.gradient_checkpointing:
            block.forward = partial(_recomputed, block, block.forward)
    for layer in cast("Iterable[Any]", align.text_model.encoder.layer):
        if model.text_tower.gradient_checkpointing:
            layer.forward = partial(_recomputed, layer, layer.forward)
    towers = Towers(
        align, temperature=config.temperature.initial, autocast=config.precision == "bf16"
    )
    if pretrained is not None:
        _load(towers, pretrained.weights)
    freeze(towers, config.frozen)
    return towers.train()


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


def _without_cudnn(batch_norm: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    """Call PyTorch's own kernel on a GPU.

    DeepSpeed lays parameters end to end, the temperature first, so that none begins at a multiple
    of 16 bytes. cuDNN takes for granted that they do, and dies of a misaligned address.
    """
    if not features.is_cuda:
        return batch_norm(features)
    with torch.backends.cudnn.flags(enabled=False):
        return batch_norm(features)


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
def reestimate_batch_norm(
    towers: nn.Module, forward: Callable[[Any], object], batches: Iterable[Any]
) -> None:
    """Set the statistics of batch norms to their mean over batches and ranks; frozen ones stay.

    The rest of the model is in evaluation mode, as it will be when the statistics are used.
    `forward` runs the model on one batch.
    """
    layers = _moving_batch_norms(towers)
    momenta = [layer.momentum for layer in layers]
    was_training = towers.training
    towers.eval()
    for layer in layers:
        layer.train()
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over batches
    for batch in batches:
        forward(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    average_batch_norm(towers)
    towers.train(was_training)


def average_batch_norm(towers: nn.Module) -> None:
    """Replace every rank's batch-norm statistics by their mean over ranks."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    for buffer in batch_norm_statistics(towers):
        dist.all_reduce(buffer)
        buffer.div_(dist.get_world_size())


def batch_norm_statistics(towers: nn.Module) -> list[Tensor]:
    """Return the running means and variances of every batch norm that is not frozen."""
    found: list[Tensor] = []
    for layer in _moving_batch_norms(towers):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        found += [layer.running_mean, layer.running_var]
    return found


def _batch_norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]


def _moving_batch_norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in _batch_norms(module) if not is_frozen(layer)]


@torch.no_grad()
def _draw_convolutions(align: AlignModel) -> None:
    """Draw as EfficientNet does: normal of variance 2 / fan-out, by filter group."""
    for layer in align.vision_model.modules():
        if isinstance(layer, nn.Conv2d):
            rows, columns = layer.kernel_size
            fan_out = rows * columns * layer.out_channels // layer.groups
            layer.weight.normal_(std=math.sqrt(2.0 / fan_out))


def _recomputed(
    block: nn.Module, forward: Callable[..., Tensor], *inputs: Any, **options: Any
) -> Tensor:
    """Run a block without keeping its activations; the backward pass runs it again."""
    contexts = partial(_once_counted, block)
    output = checkpoint(
        partial(forward, **options), *inputs, use_reentrant=False, context_fn=contexts
    )
    assert isinstance(output, Tensor)
    return output


def _once_counted(
    block: nn.Module,
) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    return nullcontext(), _statistics_held(block)


@contextmanager
def _statistics_held(block: nn.Module) -> Generator[None]:
    """Hold the running statistics, which the first run of the block has already moved."""
    layers = _batch_norms(block)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
