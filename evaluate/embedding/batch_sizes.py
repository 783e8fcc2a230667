"""How many images a forward pass takes, where nobody says it: as many as fit into a fixed memory.

The number follows from the model alone. The memory of this machine has no say, because another
number changes the last bit of an embedding.
"""

import io
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

_ACTIVATION_BYTES = 4 << 30
"""What the largest layer of a batch may take: its inputs, its outputs, and as much again."""

_MIN, _MAX = 16, 256


class _HasImageTower(Protocol):
    @property
    def model(self) -> Any: ...

    def pixels(self, contents: Sequence[bytes]) -> Tensor: ...


def batch_size_for(encoder: _HasImageTower) -> int:
    """Return the largest power of two of images whose largest layer fits; from 16 to 256."""
    num_bytes = 2 * largest_layer_bytes(encoder)
    fitting = max(1, _ACTIVATION_BYTES // num_bytes)
    return min(_MAX, max(_MIN, 1 << (fitting.bit_length() - 1)))


def largest_layer_bytes(encoder: _HasImageTower) -> int:
    """Return the bytes of inputs and outputs of the layer that has the most, for one image."""
    largest = 0

    def measure(_: object, inputs: tuple[object, ...], output: object) -> None:
        nonlocal largest
        tensors = [each for each in (*inputs, output) if isinstance(each, Tensor)]
        largest = max(largest, sum(each.numel() * each.element_size() for each in tensors))

    layers = [layer for layer in encoder.model.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(measure) for layer in layers]
    try:
        pixels = encoder.pixels([_blank_image()])
        with torch.inference_mode():
            encoder.model.get_image_features(pixels.to(encoder.model.device))
    finally:
        for hook in hooks:
            hook.remove()
    return largest


def _blank_image() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (1, 1)).save(content, "PNG")
    return content.getvalue()
