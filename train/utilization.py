"""How much of its devices' peak a run uses (MFU): the towers' products over what could be taken.

Products are those of a forward and a backward pass, frozen parts without the latter. What is
computed again to save memory, padding, the loss and the optimizer do not count.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from openalign.train.config import TrainConfig
from openalign.train.model.towers import build_towers

_T = 1e12
_PEAKS: tuple[tuple[str, float | None, float], ...] = (
    ("H100 PCIe", 756 * _T, 51 * _T),
    ("H100 NVL", 835 * _T, 60 * _T),
    ("H200 NVL", 835 * _T, 60 * _T),
    ("H100", 989 * _T, 67 * _T),
    ("H200", 989 * _T, 67 * _T),
    ("A100", 312 * _T, 19.5 * _T),
    ("A30", 165 * _T, 10.3 * _T),
    ("A40", 149.7 * _T, 37.4 * _T),
    ("A10", 125 * _T, 31.2 * _T),
    ("L40S", 362 * _T, 91.6 * _T),
    ("L40", 181 * _T, 90.5 * _T),
    ("L4", 121 * _T, 30.3 * _T),
    ("V100-PCIE", None, 14 * _T),
    ("V100", None, 15.7 * _T),
    ("T4", None, 8.1 * _T),
)
"""Operations a second in bf16, without sparsity, and in fp32, by words of a device's name, the more
special ones first; from NVIDIA's data sheets. Nothing is trained in TF32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """Floating-point operations of a step's towers."""

    per_pair: float
    per_token: float

    def of(self, *, num_pairs: int, num_tokens: int) -> float:
        """Return those of so many pairs, whose texts have so many tokens together."""
        return self.per_pair * num_pairs + self.per_token * num_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Utilization:
    """What a run's steps are made of, and what its devices could do."""

    products: Products
    peak: float
    """Operations a second of all ranks' devices."""

    def share(self, *, num_pairs: int, num_tokens: int, seconds: float) -> float:
        """Return the share of the peak that was used."""
        return self.products.of(num_pairs=num_pairs, num_tokens=num_tokens) / seconds / self.peak


def utilization_of(
    config: TrainConfig, *, device: torch.device, world_size: int
) -> Utilization | None:
    """Return how to measure a run on such devices; None where no peak is known, as of CPUs."""
    if device.type != "cuda":
        return None
    peak = peak_of(torch.cuda.get_device_name(device), config.precision)
    if peak is None:
        return None
    return Utilization(products=products_of(config), peak=peak * world_size)


def peak_of(device_name: str, precision: Literal["fp32", "bf16"]) -> float | None:
    """Return the operations a second that the maker promises; None where that is not known."""
    for words, bf16, fp32 in _PEAKS:
        if re.search(rf"\b{words}\b", device_name):
            return bf16 if precision == "bf16" else fp32
    return None


def products_of(config: TrainConfig) -> Products:
    """Count a pair's products, those of its text by the token, without computing anything.

    Those of attention grow with the square of a text; their mean up to `max_tokens` is taken.
    """
    with torch.device("meta"):
        # Not by the towers' own forward pass: there is no autocast on this device.
        align = build_towers(replace(config, compile=False), vocabulary_size=100).align.eval()
        pixels = torch.empty(1, 3, config.model.crop_px, config.model.crop_px)

        def of_text(num_tokens: int) -> int:
            ids = torch.ones(1, num_tokens, dtype=torch.long)
            seen = torch.zeros(1, 1, 1, num_tokens)  # a mask would be looked at
            return count_products(
                lambda: align.text_projection(
                    align.text_model(input_ids=ids, attention_mask=seen).last_hidden_state[:, 0]
                )
            )

        fewest, most = 2, config.model.max_tokens
        short = of_text(fewest)
        per_token = (of_text(most) - short) / (most - fewest)
        of_image = count_products(lambda: align.vision_model(pixel_values=pixels))
    return Products(per_pair=of_image + short - fewest * per_token, per_token=per_token)


def count_products(forward: Callable[[], object]) -> int:
    """Count those of a forward pass and of the backward pass that it asks for, which is not run."""
    with _Counter() as counter:
        forward()
    return counter.total


class _Counter(TorchDispatchMode):
    """Counts an operation once, and once more for each factor whose gradient is wanted.

    PyTorch's own counter takes the gradient of a depthwise kernel for that of a dense one.
    """

    total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        named = kwargs or {}
        result = func(*args, **named)
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            summand = func.overloadpacket in (torch.ops.aten.addmm, torch.ops.aten.baddbmm)
            factors = args[1:3] if summand else args[:2]
            wanted = sum(factor.requires_grad for factor in factors)
            self.total += formula(*args, **named, out_val=result) * (1 + wanted)
        return result
