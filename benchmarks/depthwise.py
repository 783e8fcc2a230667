"""A depthwise convolution of maps smaller than its kernel, ours beside PyTorch's.

    .venv/bin/python benchmarks/depthwise.py
    .venv/bin/python benchmarks/depthwise.py --images 16 --repeat 3    a quick look

The layers are those of the demo's image tower, for images of 48 px: a forward and a backward pass
over a block, one thread, CPU time. Ours and PyTorch's take turns; a ratio is the median of the
pairs'. The last line is the whole image tower with and without.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from openalign.run.config import load_pipeline
from openalign.train.model.depthwise import depthwise
from openalign.train.model.towers import build_towers

PIPELINES = str(Path(__file__).parents[1] / "pipelines.yaml")
LAYERS = ((384, 1, 5), (384, 1, 3), (240, 3, 5), (192, 3, 5))
"""Channels, side of the map, side of the kernel."""

Work = Callable[[], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description="Depthwise convolution of small maps.")
    parser.add_argument("--images", type=int, default=64, help="images of a block")
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| | PyTorch | ours | times as fast |\n|---|---|---|---|")
    for channels, side, kernel in LAYERS:
        layer = nn.Conv2d(channels, channels, kernel, padding="same", groups=channels, bias=False)
        maps = torch.randn(options.images, channels, side, side)
        maps = maps.contiguous(memory_format=torch.channels_last).requires_grad_()
        torchs, ours = paired(
            lambda layer=layer, maps=maps: layer(maps),
            lambda layer=layer, maps=maps: depthwise(layer, maps),
            options.repeat,
        )
        tell(f"{channels} maps of {side} x {side}, {kernel} x {kernel}", torchs, ours)
    config = load_pipeline(PIPELINES, "demo").train
    towers = build_towers(config, vocabulary_size=2000).align.vision_model
    plain = build_towers(config, vocabulary_size=2000).align.vision_model
    for layer in plain.modules():
        vars(layer).pop("forward", None)  # what `hasten_small_maps` has put there
    crop = config.model.crop_px
    pixels = torch.randn(options.images, 3, crop, crop)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    torchs, ours = paired(
        lambda: plain(pixel_values=pixels).pooler_output,
        lambda: towers(pixel_values=pixels).pooler_output,
        options.repeat,
    )
    tell(f"the demo's image tower, {crop} px", torchs, ours)


def paired(torchs: Work, ours: Work, repeat: int) -> tuple[list[float], list[float]]:
    """Return the CPU seconds of both, pair by pair, behind two runs that are not counted."""
    pairs = [(seconds(torchs), seconds(ours)) for _ in range(repeat + 2)][2:]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def seconds(work: Work) -> float:
    started = time.process_time()
    work().square().sum().backward()
    return time.process_time() - started


def tell(what: str, torchs: list[float], ours: list[float]) -> None:
    ratio = statistics.median(a / b for a, b in zip(torchs, ours, strict=True))
    values = [f"{1000 * statistics.median(each):.1f} ms" for each in (torchs, ours)]
    print(f"| {what} | {values[0]} | {values[1]} | **{ratio:.2f}** |", flush=True)


if __name__ == "__main__":
    main()
