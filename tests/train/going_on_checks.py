"""A run that goes on from the whole state of another, for test_going_on.py; one rank of it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import tiny_training
from tiny_training import Corpus, tiny_config

from openalign.errors import ConfigError
from openalign.train import zero
from openalign.train.config import Duration, TrainConfig, ZeroConfig
from openalign.train.start.origin import LastCheckpoint
from openalign.train.updates import Ema

NUM_STEPS = 4
"""Of the other run."""


def longer_config(**changes: object) -> TrainConfig:
    """Return three steps more, under another ZeRO stage."""
    zero_config = ZeroConfig(stage=3, persistence_threshold=0)
    config = tiny_config(duration=Duration(steps=NUM_STEPS + 3), ema=Ema(decay=0.5))
    return replace(config, zero=zero_config, **changes)  # pyright: ignore[reportArgumentType]


def run(corpus: Corpus, folder: str) -> None:
    """Train one run, and a longer one from it in two ways; note what cannot go on from it.

    `resumed` finds the checkpoints of the first as its own, as after a kill. `gone-on` is told of
    them.
    """
    other, resumed, gone_on = (Path(folder, name) for name in ("other", "resumed", "gone-on"))
    config = tiny_config(duration=Duration(steps=NUM_STEPS), ema=Ema(decay=0.5))
    checkpoint = LastCheckpoint(str(other / "checkpoints"), NUM_STEPS)
    said: list[str] = []
    with zero.joined_ranks() as ranks:
        tiny_training.train(config, corpus, str(other), str(other / "work"))
        if ranks.rank == 0:
            shutil.copytree(other / "checkpoints", resumed / "checkpoints")
        zero.dist.barrier()
        longer = longer_config()
        tiny_training.train(longer, corpus, str(resumed), str(resumed / "work"))
        tiny_training.train(
            longer, corpus, str(gone_on), str(gone_on / "work"), other_run=checkpoint
        )
        refused = [config, longer_config(frozen=("text_tower.embeddings",))]
        for number, config in enumerate(refused):
            place = str(Path(folder, f"refused-{number}"))
            try:
                tiny_training.train(config, corpus, place, f"{place}/work", other_run=checkpoint)
            except ConfigError as error:
                said.append(f"{error} ({error.hint})")
        Path(folder, f"said-{ranks.rank}.json").write_text(json.dumps(said))
