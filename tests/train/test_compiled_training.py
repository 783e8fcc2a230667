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
PRECISIONS = ("fp32", "bf16")


def train_compiled_and_not(jobs: list[tuple[TrainConfig, Corpus, str]]) -> None:
    """Be a rank of each run; the backend captures, and runs torch's own operators."""
    torch.compile = partial(torch.compile, backend="aot_eager")
    with zero.joined_ranks():
        for config, corpus, output in jobs:
            tiny_training.train(config, corpus, output, f"{output}/work")


def measured(folder: Path, name: str) -> list[float]:
    """Return every value of this name, of training and of validation, in the order of lines."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line[key] for line in lines for key in line if key.endswith(f"/{name}")]


def test_a_compiled_training_is_the_training(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    runs = {
        f"{precision} {compiled}": replace(CONFIG, precision=precision, compile=compiled)
        for precision in PRECISIONS
        for compiled in (False, True)
    }
    jobs = [(config, corpus, str(tmp_path / name)) for name, config in runs.items()]

    finish(start_ranks((train_compiled_and_not, (jobs,)), num_ranks=2, folder=tmp_path))

    for precision in PRECISIONS:
        plain, compiled = tmp_path / f"{precision} False", tmp_path / f"{precision} True"
        assert len(measured(plain, "loss")) == 4 + 2
        assert len(measured(plain, "gradient_norm")) == 4
        for name, near in (("loss", 1e-5), ("gradient_norm", 1e-3)):
            assert measured(compiled, name) == pytest.approx(measured(plain, name), rel=near)
        one, two = (load_file(f / "export" / "model.safetensors") for f in (plain, compiled))
        assert one.keys() == two.keys()
        assert all(torch.isfinite(two[name]).all() for name in two)
