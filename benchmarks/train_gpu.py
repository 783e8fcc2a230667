"""Training steps on a GPU beside open_clip's, with the same towers, batch and precision.

    .venv/bin/python benchmarks/train_gpu.py              B3+Mini and B7+Base at 289 px
    .venv/bin/python benchmarks/train_gpu.py --dry-run    tiny towers, on the CPU

    ours         our towers, loss and LAMB under DeepSpeed
    ours_fast    the same, compiled
    theirs       open_clip's model, of timm's EfficientNet and Hugging Face's BERT, its loss, and
                 PyTorch's fused AdamW, under autocast as in its trainer
    theirs_fast  the same, compiled

All get one batch that lies on the device, in bf16 autocast with weights in fp32, so that no figure
holds any reading or decoding. Each runs in a process of its own. Printed are pairs a second, the
share of the device's peak that the towers' products are (MFU), and the most memory that was
allocated.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from contestants import child_words, one_run

from openalign.train.presets import IMAGE_PRESETS, TEXT_PRESETS, ImagePreset, TextPreset

CONTESTANTS = ("ours", "ours_fast", "theirs", "theirs_fast")
PAIRS = (("ours", "theirs"), ("ours_fast", "theirs"), ("ours_fast", "theirs_fast"))
VOCABULARY = 100_000
NUM_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Size:
    """Towers, and the pairs that go through them at one time."""

    image: ImagePreset
    text: TextPreset
    timm: str
    crop_px: int
    batch: int


SIZES = {
    "b3+mini": Size("b3", "mini", "tf_efficientnet_b3", 289, 256),
    "b7+base": Size("b7", "base", "tf_efficientnet_b7", 289, 96),
    "tiny": Size("b0", "mini", "tf_efficientnet_b0", 64, 8),
}
Step = Callable[[], Any]


def our_config(size: Size, *, fast: bool) -> Any:
    """Return the settings of this project's trainer."""
    from openalign.train.config import ImageTower, ModelConfig, TextTower, TrainConfig, ZeroConfig

    return TrainConfig(
        global_batch_size=size.batch,
        block_size=size.batch,
        precision="bf16",
        compile=fast,
        model=ModelConfig(
            image_tower=ImageTower(preset=size.image),
            text_tower=TextTower(preset=size.text),
            resize_px=size.crop_px,
            crop_px=size.crop_px,
        ),
        zero=ZeroConfig(stage=1),
    )


def our_step(size: Size, ranks: Any, *, fast: bool) -> Step:
    """Return a step of this project's trainer."""
    from openalign.train import zero
    from openalign.train.model.loss import contrastive_loss
    from openalign.train.model.towers import Pass, build_towers
    from openalign.train.optim.lamb import build_optimizer

    config = our_config(size, fast=fast)
    towers = build_towers(config, vocabulary_size=VOCABULARY)
    optimizer = build_optimizer(towers, config)
    engine = zero.start_engine(towers, optimizer, config, ranks)
    engine.train()
    optimizer.set_factor(1e-3)
    pixels, ids, mask = batch_of(size, ranks.device.type)
    passes = [Pass(start=0, stop=size.batch, num_tokens=NUM_TOKENS, seed=0)]

    def step() -> Any:
        embedded = engine(pixels, ids, mask, passes=passes)
        loss = contrastive_loss(*embedded, label_smoothing=config.label_smoothing)
        zero.take_step(engine, optimizer, loss)
        return loss

    return step


def their_step(size: Size, device: str, folder: Path, *, fast: bool) -> Step:
    """Return a step of open_clip's trainer."""
    import torch
    from open_clip import ClipLoss
    from open_clip.model import CustomTextCLIP
    from transformers import BertConfig

    from openalign.train.model.towers import embedding_width

    layers, hidden, heads = TEXT_PRESETS[size.text]
    bert = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
    )
    bert.save_pretrained(folder)
    width = embedding_width(IMAGE_PRESETS[size.image].width)
    model = CustomTextCLIP(
        embed_dim=width,
        vision_cfg={
            "timm_model_name": size.timm,
            "timm_pool": "avg",
            "timm_proj": "linear",
            "timm_drop_path": 0.2,
            "image_size": size.crop_px,
        },  # pyright: ignore[reportArgumentType]
        text_cfg={
            "hf_model_name": str(folder),
            "hf_model_pretrained": False,
            "hf_proj_type": "linear",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
        },  # pyright: ignore[reportArgumentType]
    ).to(device)
    model.train()
    rule = ClipLoss()
    fused = device == "cuda"
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.2, fused=fused)
    forward: Any = torch.compile(model) if fast else model
    pixels, ids, mask = batch_of(size, device)
    ids = ids * mask  # it takes 0 for padding

    def step() -> Any:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16):
            image, text, scale = forward(pixels, ids)
            loss = rule(image, text, scale)
        assert isinstance(loss, torch.Tensor)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6)
        return loss

    return step


def batch_of(size: Size, device: str) -> tuple[Any, Any, Any]:
    """Return pixels, token ids and their mask; a text fills three quarters of the tokens."""
    import torch

    draw = torch.Generator().manual_seed(0)
    shape = (size.batch, 3, size.crop_px, size.crop_px)
    pixels = torch.rand(shape, generator=draw).to(memory_format=torch.channels_last)
    ids = torch.randint(5, VOCABULARY, (size.batch, NUM_TOKENS), generator=draw)
    mask = torch.ones_like(ids)
    mask[:, NUM_TOKENS * 3 // 4 :] = 0
    return pixels.to(device), ids.to(device), mask.to(device)


def timed(step: Step, *, device: str, num_steps: int, profiled: bool) -> dict[str, Any]:
    """Run a contestant; return its seconds a step, the median of five stretches."""
    import torch

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    started = time.monotonic()
    loss = step()
    for _ in range(2):
        step()
    wait()
    warm = time.monotonic() - started
    seconds: list[float] = []
    for _ in range(5):
        started = time.monotonic()
        for _ in range(num_steps):
            loss = step()
        wait()
        seconds.append((time.monotonic() - started) / num_steps)
    if profiled:
        show_profile(step)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    return {
        "seconds": statistics.median(seconds),
        "warm": warm,
        "gib": peak,
        "loss": float(loss.detach()),
    }


def show_profile(step: Step) -> None:
    """Print the kernels that take longest."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        step()
    sys.stderr.write(
        seen.key_averages().table(sort_by="cuda_time_total", row_limit=25, max_name_column_width=70)
        + "\n"
    )


def products(size: Size) -> float:
    """Return the floating-point operations of a step's forward and backward passes."""
    from openalign.train.utilization import products_of

    counted = products_of(our_config(size, fast=False))
    return counted.of(num_pairs=size.batch, num_tokens=size.batch * NUM_TOKENS)


def main() -> None:
    """Run and print."""
    words = child_words()
    if words is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(run_child(words, Path(folder))))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--sizes", nargs="+", default=["b3+mini", "b7+base"], choices=list(SIZES))
    parser.add_argument("--contestants", nargs="+", default=CONTESTANTS, choices=CONTESTANTS)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--profile", action="store_true")
    chosen = parser.parse_args()
    device = "cpu" if chosen.dry_run else "cuda"
    sizes = ["tiny"] if chosen.dry_run else chosen.sizes
    steps = 1 if chosen.dry_run else chosen.steps
    from openalign.train.utilization import peak_of

    print(f"device: {name_of(device)}")
    for size in sizes:
        flops = one_run("flops", size, device, "1", "")["flops"]
        rate: dict[str, float] = {}
        for name in chosen.contestants:
            found = one_run(name, size, device, str(steps), "profile" if chosen.profile else "")
            rate[name] = SIZES[size].batch / found["seconds"]
            peak = peak_of(name_of(device), "bf16")
            used = f"{flops / found['seconds'] / peak:.1%}" if peak else "unknown"
            print(
                f"{size:8} {name:12} {rate[name]:8.1f} pairs/s   MFU {used}   "
                f"{found['gib']:.1f} GiB   first steps {found['warm']:.0f} s   "
                f"loss {found['loss']:.3f}",
                flush=True,
            )
        for ours, theirs in PAIRS:
            if ours in rate and theirs in rate:
                print(f"{size:8} {ours} beside {theirs}: {rate[ours] / rate[theirs]:.2f}")


def run_child(words: list[str], folder: Path) -> dict[str, Any]:
    """Be one contestant."""
    name, size, device = words[0], SIZES[words[1]], words[2]
    if name == "flops":
        return {"flops": products(size)}
    from openalign.train import zero

    fast = name.endswith("_fast")
    run = partial(timed, device=device, num_steps=int(words[3]), profiled=bool(words[4]))
    if name.startswith("theirs"):
        return run(their_step(size, device, folder, fast=fast))
    with zero.joined_ranks() as ranks:
        return run(our_step(size, ranks, fast=fast))


def name_of(device: str) -> str:
    """Return the device's name."""
    if device == "cpu":
        return "CPU"
    import torch

    return torch.cuda.get_device_name()


if __name__ == "__main__":
    main()
