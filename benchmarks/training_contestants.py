"""Contestants of `train_cpu.py`: our trainer, open_clip's model, and towers that stand alone.

Each takes steps without end in a process of its own. A clock notes where they begin, and makes the
process wait for its turns.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contestants import cpu_seconds, end_turn

from openalign.train.block_shares import block_share
from openalign.train.presets import ImageTower, TextTower

SKIPPED = 2
"""Steps before the first turn: imports, memory, the first batches."""

VOCABULARY = "abcdefghijklmnopqrstuvwxyz0123456789,"
_ENOUGH_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """Towers and the pairs of a batch."""

    image: ImageTower
    text: TextTower
    resize_px: int
    crop_px: int
    batch: int
    stored: tuple[int, int]
    """Of the images in the shards."""

    vocabulary: int
    """Rows of the word embeddings."""


SIZES = {
    "tiny": Size(
        ImageTower(preset="b0", width=0.25, depth=0.3, stochastic_depth=0.0),
        TextTower(preset="mini", num_layers=1, hidden_size=32, num_heads=2, dropout=0.0),
        *(36, 32, 16, (48, 36), 1000),
    ),
    "demo": Size(
        ImageTower(preset="b0", width=0.35, depth=0.5, stochastic_depth=0.0),
        TextTower(preset="mini", num_layers=2, hidden_size=128, num_heads=2, dropout=0.0),
        *(48, 48, 64, (64, 64), 4000),
    ),
    "b3+mini": Size(
        ImageTower(preset="b3", stochastic_depth=0.0),
        TextTower(preset="mini", dropout=0.0),
        *(346, 289, 8, (461, 346), 30_000),
    ),
}
"""Nothing is dropped: open_clip's towers would draw it elsewhere."""


def config_of(size: Size, *, num_steps: int, cached: bool, zero_stage: Any, ranks: int) -> Any:
    """Return the settings of the trainer."""
    from openalign.train.config import (
        Augmentation,
        Duration,
        ModelConfig,
        TrainConfig,
        ZeroConfig,
    )
    from openalign.train.updates import Schedule

    return TrainConfig(
        global_batch_size=size.batch,
        block_size=size.batch // ranks,
        duration=Duration(steps=num_steps),
        schedule=Schedule(warmup_steps=0),
        model=ModelConfig(
            image_tower=size.image,
            text_tower=size.text,
            resize_px=size.resize_px,
            crop_px=size.crop_px,
            max_tokens=32,
        ),
        augmentation=Augmentation(random_crop=size.resize_px > size.crop_px),
        zero=ZeroConfig(stage=zero_stage),
        checkpoint_every_steps=1_000_000,
        batch_norm_batches=1,
        decode_threads=1,
        image_cache_mb=4096 if cached else 0,
    )


def word_pieces(number: int) -> list[str]:
    """Return letters, and unused pieces up to that number."""
    from openalign.train.data.preprocess import SPECIAL_TOKENS

    pieces = [*SPECIAL_TOKENS, *VOCABULARY, *(f"##{letter}" for letter in VOCABULARY)]
    return [*pieces, *(f"[unused{n}]" for n in range(number - len(pieces)))]


class Clock:
    """Notes when steps begin; ends a turn behind so many, and waits for the next."""

    def __init__(self, steps_a_turn: int) -> None:
        self._steps_a_turn = steps_a_turn
        self._num_begun = 0
        self._cpu = self._wall = 0.0

    def tick(self) -> None:
        """Note the beginning of a step, which is the end of the one before."""
        number = self._num_begun - SKIPPED
        self._num_begun += 1
        if number < 0 or number % self._steps_a_turn or os.environ.get("RANK", "0") != "0":
            return
        cpu = cpu_seconds()  # since the last turn: what threads do until it stands still counts
        wall = time.monotonic()
        end_turn({"cpu": cpu - self._cpu, "wall": wall - self._wall} if number else {})
        self._cpu = cpu
        self._wall = time.monotonic()


def index_and_shards(folder: Path) -> tuple[Any, Any]:
    from openalign.files.shards import ShardReader
    from openalign.train.data.index import TrainingIndex

    return TrainingIndex(sorted(folder.glob("index-*.arrow"))), ShardReader(str(folder))


def by_trainer(size: Size, folder: Path, clock: Clock, *, config: Any, fixed: bool) -> None:
    """Train as `openalign train` does; with `fixed`, the first batch comes again and again."""
    from openalign.train import loop, passes, zero
    from openalign.train.state import RunInputs
    from openalign.train.work_folder import local_folders

    index, shards = index_and_shards(folder)
    embed, batches = passes.embed, passes.batches

    def noting(*given: Any) -> Any:
        clock.tick()
        return embed(*given)

    def same(data: Any, share: Any, config: Any, first: int, last: int) -> Generator[Any]:
        (one,) = batches(data, share, config, 0, 1)
        for step in range(first, last):
            yield replace(one, step=step)

    passes.embed = noting
    if fixed:
        passes.batches = same
    with zero.joined_ranks() as ranks, tempfile.TemporaryDirectory() as output:
        place = os.environ.get("BENCHMARK_OUTPUT", output)
        inputs = RunInputs(
            index=index,
            first_hash="",
            vocabulary=word_pieces(size.vocabulary),
            shards=shards,
            folders=local_folders(place, f"{place}/work"),
            made_from={},
        )
        loop.run(config, ranks, inputs)


def fed(size: Size, folder: Path, *, config: Any) -> Generator[Any]:
    """Yield the batches that our trainer would take."""
    import torch

    from openalign.train.state import open_pairs

    index, shards = index_and_shards(folder)
    steps = config.duration.steps
    with closing(
        open_pairs(config, index, word_pieces(size.vocabulary), shards, device=torch.device("cpu"))
    ) as data:
        yield from data.batches(
            0, steps, global_batch_size=size.batch, start=0, num_pairs=size.batch
        )


def by_open_clip(size: Size, folder: Path, clock: Clock, *, config: Any) -> None:
    """Train open_clip's model on the same batches."""
    import torch
    from open_clip import ClipLoss

    model = open_clip_model(size)
    model.train()
    rule = ClipLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.2)
    for batch in fed(size, folder, config=config):
        clock.tick()
        optimizer.zero_grad()
        ids = batch.tokens.ids * batch.tokens.mask  # it takes 0 for padding
        loss: Any = rule(*model(batch.pixels[:], ids))
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6)
        float(loss.detach())


def open_clip_model(size: Size) -> Any:
    """Return open_clip's model around towers of our sizes."""
    from open_clip.model import CustomTextCLIP
    from timm.models import efficientnet, register_model
    from torch import nn
    from transformers import BertConfig

    from openalign.train.model.towers import embedding_width

    shape, text = size.image.shape, size.text.shape
    name = "openalign_benchmark"

    def tower(**options: Any) -> Any:
        kept = {key: options[key] for key in options if not key.startswith("pretrained")}
        return efficientnet._gen_efficientnet(  # noqa: SLF001  # takes any multipliers
            "tf_efficientnet_b0",
            channel_multiplier=shape.width,
            depth_multiplier=shape.depth,
            pad_type="same",
            bn_eps=1e-3,
            **kept,
        )

    tower.__module__, tower.__name__ = efficientnet.__name__, name
    register_model(tower)
    with tempfile.TemporaryDirectory() as folder:
        BertConfig(
            vocab_size=size.vocabulary,
            hidden_size=text.hidden_size,
            num_hidden_layers=text.num_layers,
            num_attention_heads=text.num_heads,
            intermediate_size=4 * text.hidden_size,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ).save_pretrained(folder)
        model = CustomTextCLIP(
            embed_dim=embedding_width(shape.width),
            vision_cfg={
                "timm_model_name": name,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "image_size": size.crop_px,
            },  # pyright: ignore[reportArgumentType]
            text_cfg={
                "hf_model_name": folder,
                "hf_model_pretrained": False,
                "hf_proj_type": "linear",
                "hf_pooler_type": "cls_last_hidden_state_pooler",
            },  # pyright: ignore[reportArgumentType]
        )
    # ALIGN's tower ends with the last block, whose width is the embedding's.
    visual: Any = model.visual
    visual.trunk.conv_head = visual.trunk.bn2 = visual.head = nn.Identity()
    return model


def bare_steps(size: Size, folder: Path, clock: Clock, *, config: Any, optimizer: str = "") -> None:
    """Take a batch through both towers and back; with an optimizer, with the loss and an update."""
    import torch

    from openalign.host_memory import keep_freed_memory
    from openalign.train import passes
    from openalign.train.model.loss import contrastive_loss
    from openalign.train.model.towers import build_towers
    from openalign.train.optim.lamb import build_optimizer

    with closing(fed(size, folder, config=config)) as batches:
        batch = next(batches)
    towers = build_towers(config, vocabulary_size=size.vocabulary)
    share = block_share(config, rank=0, world_size=1)
    rule: Any = None
    if optimizer:
        keep_freed_memory()  # as the trainer does
    if optimizer == "lamb":
        rule = build_optimizer(towers, config)
        rule.set_factor(1e-3)
    elif optimizer == "adamw":
        rule = torch.optim.AdamW(towers.parameters(), lr=1e-6, weight_decay=1e-5, fused=True)
    device = torch.device("cpu")
    for _ in range(config.duration.steps):
        clock.tick()
        towers.zero_grad(set_to_none=True)
        image, text, temperature = passes.embed(towers, batch, share, config, device)
        if rule is None:
            (image.sum() + text.sum()).backward()
            continue
        contrastive_loss(image, text, temperature, label_smoothing=0.1).backward()
        rule.step()


def work_of(name: str, size: Size, folder: Path, *, ranks: int) -> Callable[[Clock], None]:
    """Return what a contestant does."""
    stage = int(name.removeprefix("zero_")) if name.startswith("zero_") else 0
    in_trainer = name.startswith(("ours", "zero"))
    config = config_of(
        size,
        num_steps=_ENOUGH_STEPS,
        cached=not name.endswith("_decoding"),
        zero_stage=stage,
        ranks=ranks if in_trainer else 1,
    )
    given = (size, folder)
    if in_trainer:
        fixed = name.startswith("zero")
        return lambda clock: by_trainer(*given, clock, config=config, fixed=fixed)
    if name.startswith("clip"):
        return lambda clock: by_open_clip(*given, clock, config=config)
    optimizer = "" if name == "bare" else name
    return lambda clock: bare_steps(*given, clock, config=config, optimizer=optimizer)


def run_child(words: list[str]) -> None:
    """Be one contestant, or a rank of it, until it is killed."""
    import torch

    name, size, folder, steps_a_turn, ranks = words
    count = int(ranks) if name.startswith(("ours", "zero")) else 1
    torch.set_num_threads(int(ranks) // count)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # of all contestants' feed, as the trainer's
    work = work_of(name, SIZES[size], Path(folder), ranks=int(ranks))
    with other_ranks(words, count):
        work(Clock(int(steps_a_turn)))


@contextmanager
def other_ranks(words: list[str], count: int) -> Generator[None]:
    """Start the other ranks of a contestant beside this process, which is the first."""
    if count == 1 or "RANK" in os.environ:
        yield
        return
    from openalign.train.local_ranks import free_port, rank_environment

    port = free_port()
    with tempfile.TemporaryDirectory() as output:
        os.environ["BENCHMARK_OUTPUT"] = output
        others = [
            subprocess.Popen(
                [sys.executable, sys.argv[0], "--child", *words],
                env=os.environ | rank_environment(number, count, port),
            )
            for number in range(1, count)
        ]
        os.environ |= rank_environment(0, count, port)
        try:
            yield
            assert not any(other.wait() for other in others)
        finally:
            for other in others:
                other.kill()
