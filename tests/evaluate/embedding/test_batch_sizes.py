from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from openalign.evaluate.embedding import batch_sizes
from openalign.evaluate.embedding.batch_sizes import batch_size_for, largest_layer_bytes
from openalign.evaluate.embedding.encoder import Encoder


class Convolutions(nn.Module):
    """Two layers over images of 8 px: 3 to 16 channels, and 16 to 4."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, kernel_size=1)
        self.second = nn.Conv2d(16, 4, kernel_size=1)

    def get_image_features(self, pixels: Tensor) -> Tensor:
        return self.second(self.first(pixels))


class ToyEncoder:
    model: Any = Convolutions()

    def pixels(self, contents: Sequence[bytes]) -> Tensor:
        return torch.zeros(len(contents), 3, 8, 8)


def test_the_layer_with_the_most_inputs_and_outputs_counts() -> None:
    # (16 + 4) channels of 64 pixels of 4 bytes; the first layer has 3 + 16.
    assert largest_layer_bytes(ToyEncoder()) == 20 * 64 * 4


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        pytest.param(64 * 2 * 5120, 64, id="exactly"),
        pytest.param(64 * 2 * 5120 - 1, 32, id="a byte too few"),
        pytest.param(128 * 2 * 5120 - 1, 64, id="the next power of two does not fit"),
        pytest.param(1, 16, id="never fewer than 16"),
        pytest.param(1 << 40, 256, id="never more than 256"),
    ],
)
def test_a_batch_is_the_largest_power_of_two_that_fits(
    room: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_sizes, "_ACTIVATION_BYTES", room)

    assert batch_size_for(ToyEncoder()) == expected


def test_a_small_model_takes_the_largest_batch(model_folder: str) -> None:
    assert batch_size_for(Encoder.load(model_folder)) == 256
