"""Training steps on a GPU beside open_clip's, with the same towers, batch and precision.

    .venv/bin/python benchmarks/train_gpu.py              B3+Mini and B7+Base at 289 px
    .venv/bin/python benchmarks/train_gpu.py --dry-run    tiny towers, on the CPU

    ours         our towers, loss and LAMB under DeepSpeed
    ours_fast    the same, compiled
    ours_fed     ours, fed from shards of JPEGs as `openalign train` is, each decoded anew
    theirs       open_clip's model, of timm's EfficientNet and Hugging Face's BERT, its loss, and
                 PyTorch's fused AdamW, under autocast as in its trainer
    theirs_fast  the same, compiled

All but `ours_fed` get one batch that lies on the device, in bf16 autocast with weights in fp32, so
that their figures hold no reading or decoding. Each runs in a process of its own. Printed are pairs
a second, the share of the device's peak that the towers' products are (MFU), the share of the time
spent waiting for data, and the most memory that was allocated. Behind the steps comes the loss
alone, in each form beside open_clip's (`loss_forms.py`), at `--loss-pairs`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from contestants import child_words, one_run

from openalign.train.presets import IMAGE_PRESETS, TEXT_PRESETS, ImagePreset, TextPreset

CONTESTANTS = ("ours", "ours_fast", "ours_fed", "theirs", "theirs_fast")
PAIRS = (
    ("ours", "theirs"),
    ("ours_fast", "theirs"),
    ("ours_fast", "theirs_fast"),
    ("ours_fed", "ours"),
)
VOCABULARY = 100_000
NUM_TOKENS = 32
STRETCHES = 5
"""Stretches of steps that are timed; the median counts."""

FIRST_STEPS = 3
"""Before the clock starts."""


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


@dataclass(slots=True)
class Feed:
    """Batches of our trainer's feed, and the seconds that were spent waiting for them."""

    batches: Iterator[Any]
    waited: float = 0.0

    def take(self) -> Any:
        """Return the next batch."""
        asked = time.monotonic()
        batch = next(self.batches)
        self.waited += time.monotonic() - asked
        return batch


def config_of(size: Size, *, fast: bool, num_steps: int) -> Any:
    """Return the settings of our trainer."""
    from openalign.train.config import (
        Duration,
        ImageTower,
        ModelConfig,
        TextTower,
        TrainConfig,
        ZeroConfig,
    )
    from openalign.train.updates import Schedule

    return TrainConfig(
        global_batch_size=size.batch,
        block_size=size.batch,
        duration=Duration(steps=num_steps),
        schedule=Schedule(warmup_steps=0),
        precision="bf16",
        compile=fast,
        model=ModelConfig(
            image_tower=ImageTower(preset=size.image),
            text_tower=TextTower(preset=size.text),
            resize_px=round(size.crop_px * 346 / 289),
            crop_px=size.crop_px,
            max_tokens=NUM_TOKENS,
        ),
        zero=ZeroConfig(stage=1),
        image_cache_mb=0,
    )


def our_step(size: Size, config: Any, ranks: Any, feed: Feed | None) -> Step:
    """Return a step of this project's trainer: on what it is fed, or on a batch that lies there."""
    from openalign.train import passes, zero
    from openalign.train.block_shares import block_share
    from openalign.train.model.loss import contrastive_loss
    from openalign.train.model.towers import Pass, build_towers
    from openalign.train.optim.lamb import build_optimizer

    towers = build_towers(config, vocabulary_size=VOCABULARY)
    optimizer = build_optimizer(towers, config)
    engine = zero.start_engine(towers, optimizer, config, ranks)
    engine.train()
    optimizer.set_factor(1e-3)
    share = block_share(config, rank=0, world_size=1)
    fixed = None if feed else batch_of(size, ranks.device.type)
    whole = [Pass(start=0, stop=size.batch, num_tokens=NUM_TOKENS, seed=0)]

    def embedded() -> Any:
        if feed:
            return passes.embed(engine, feed.take(), share, config, ranks.device)
        assert fixed is not None
        return engine(*fixed, passes=whole)

    def step() -> Any:
        loss = contrastive_loss(*embedded(), label_smoothing=config.label_smoothing)
        zero.take_step(engine, optimizer, loss)
        return loss

    return step


@contextmanager
def fed(size: Size, config: Any, ranks: Any, folder: Path) -> Generator[Feed]:
    """Yield what feeds the trainer, from shards of the form that `fetch` writes."""
    import training_contestants
    from feed import SIZES as STORED
    from feed import write_corpus

    from openalign.train.state import open_pairs

    write_corpus(folder, STORED["stored"], max(4 * size.batch, 256))
    index, shards = training_contestants.index_and_shards(folder)
    words = training_contestants.word_pieces(VOCABULARY)
    with (
        closing(open_pairs(config, index, words, shards, device=ranks.device)) as data,
        closing(
            data.batches(
                0,
                config.duration.steps,
                global_batch_size=size.batch,
                start=0,
                num_pairs=size.batch,
            )
        ) as batches,
    ):
        yield Feed(batches)


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


def timed(
    step: Step, *, device: str, num_steps: int, profiled: bool, feed: Feed | None = None
) -> dict[str, Any]:
    """Run a contestant; return its seconds a step, and the share of them that it waits for data."""
    import torch

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    started = time.monotonic()
    loss = step()
    for _ in range(FIRST_STEPS - 1):
        step()
    wait()
    warm = time.monotonic() - started
    seconds: list[float] = []
    waited = feed.waited if feed else 0.0
    began = time.monotonic()
    for _ in range(STRETCHES):
        started = time.monotonic()
        for _ in range(num_steps):
            loss = step()
        wait()
        seconds.append((time.monotonic() - started) / num_steps)
    waits = (feed.waited - waited) / (time.monotonic() - began) if feed else None
    if profiled:
        show_profile(step)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    return {
        "seconds": statistics.median(seconds),
        "warm": warm,
        "gib": peak,
        "waits": waits,
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

    counted = products_of(config_of(size, fast=False, num_steps=1))
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
    parser.add_argument("--loss-pairs", type=int, nargs="*", help="16,384 to 65,536 on a GPU")
    parser.add_argument("--profile", action="store_true")
    chosen = parser.parse_args()
    device = "cpu" if chosen.dry_run else "cuda"
    sizes = ["tiny"] if chosen.dry_run else chosen.sizes
    steps = 1 if chosen.dry_run else chosen.steps
    from openalign.train.utilization import peak_of

    print(f"device: {name_of(device)}")
    peak = peak_of(name_of(device), "bf16")
    for size in sizes:
        flops = one_run("flops", size, device, "1", "")["flops"] if peak else 0.0
        rate: dict[str, float] = {}
        for name in chosen.contestants:
            found = one_run(name, size, device, str(steps), "profile" if chosen.profile else "")
            rate[name] = SIZES[size].batch / found["seconds"]
            used = f"{flops / found['seconds'] / peak:.1%}" if peak else "unknown"
            waits = "" if found["waits"] is None else f"   waits for data {found['waits']:.1%}"
            print(
                f"{size:8} {name:12} {rate[name]:8.1f} pairs/s   MFU {used}   "
                f"{found['gib']:.1f} GiB   first steps {found['warm']:.0f} s   "
                f"loss {found['loss']:.3f}{waits}",
                flush=True,
            )
        for ours, theirs in PAIRS:
            if ours in rate and theirs in rate:
                print(f"{size:8} {ours} beside {theirs}: {rate[ours] / rate[theirs]:.2f}")
    pairs = chosen.loss_pairs
    if pairs is None:
        pairs = [64] if chosen.dry_run else [16_384, 32_768, 65_536]
    if pairs:
        script = str(Path(__file__).with_name("loss_forms.py"))
        subprocess.run([sys.executable, script, "--pairs", *map(str, pairs)], check=True)


def run_child(words: list[str], folder: Path) -> dict[str, Any]:
    """Be one contestant."""
    name, size, device = words[0], SIZES[words[1]], words[2]
    if name == "flops":
        return {"flops": products(size)}
    from openalign.train import zero

    fast, num_steps, profiled = name.endswith("_fast"), int(words[3]), bool(words[4])
    run = partial(timed, device=device, num_steps=num_steps, profiled=profiled)
    if name.startswith("theirs"):
        return run(their_step(size, device, folder, fast=fast))
    total = FIRST_STEPS + STRETCHES * num_steps + profiled
    config = config_of(size, fast=fast, num_steps=total)
    with zero.joined_ranks() as ranks:
        if name != "ours_fed":
            return run(our_step(size, config, ranks, None))
        with fed(size, config, ranks, folder) as feed:
            return run(our_step(size, config, ranks, feed), feed=feed)


def name_of(device: str) -> str:
    """Return the device's name."""
    if device == "cpu":
        return "CPU"
    import torch

    return torch.cuda.get_device_name()


if __name__ == "__main__":
    main()
