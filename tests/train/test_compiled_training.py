"""Compiled towers in a whole training: under ZeRO, in validation, and as statistics are settled."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import tiny_training
import torch
from safetensors.torch import load_file
from tiny_training import Corpus, finish, make_corpus, start_ranks, tiny_config, tiny_model

from openalign.train import zero
from openalign.train.config import Duration, TextTower, TrainConfig
from openalign.train.monitoring import Validation

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

NO_DROPOUT = TextTower(preset="mini", num_layers=1, hidden_size=32, num_heads=2, dropout=0.0)
CONFIG = tiny_config(  # compiled code draws other numbers for dropout
    duration=Duration(steps=4),
    model=tiny_model(text_tower=NO_DROPOUT),
    validation=Validation(every_steps=2),
)
NEAR = {"fp32": 1e-3, "bf16": 3e-2}


def train_compiled_and_not(jobs: list[tuple[TrainConfig, Corpus, str]]) -> None:
    """Be a rank of each run; the backend captures, and runs torch's own operators."""
    torch.compile = partial(torch.compile, backend="aot_eager")
    with zero.joined_ranks():
        for config, corpus, output in jobs:
            tiny_training.train(config, corpus, output, f"{output}/work")


def losses(folder: Path) -> list[float]:
    """Return every loss in the order of lines, of training and of validation."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines for name in line if name.endswith("/loss")]


def test_a_compiled_training_is_the_training(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    runs = {
        f"{precision} {compiled}": replace(CONFIG, precision=precision, compile=compiled)
        for precision in NEAR
        for compiled in (False, True)
    }
    jobs = [(config, corpus, str(tmp_path / name)) for name, config in runs.items()]

    finish(start_ranks((train_compiled_and_not, (jobs,)), num_ranks=2, folder=tmp_path))

    for precision, near in NEAR.items():
        plain, compiled = tmp_path / f"{precision} False", tmp_path / f"{precision} True"
        assert len(losses(plain)) == 4 + 2
        assert losses(compiled) == pytest.approx(losses(plain), rel=near)
        one, two = (load_file(f / "export" / "model.safetensors") for f in (plain, compiled))
        assert one.keys() == two.keys()
        assert all(torch.isfinite(two[name]).all() for name in two)
