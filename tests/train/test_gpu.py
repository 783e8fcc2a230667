"""Training on the GPUs of this machine; skipped where there is none."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_training import Duration, make_run, rank_environment, tiny_config, tiny_model

from openalign.telemetry import read_json_lines
from openalign.train.config import TrainConfig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.distributed,
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/dev/nvidia0").exists(), reason="needs an NVIDIA GPU"),
]


def test_training_on_gpus_follows_training_on_cpus(tmp_path: Path) -> None:
    """Sixteen ranks are asked for; as many as there are GPUs train, and the CPUs repeat them."""
    model = tiny_model()
    text_tower = replace(model.text_tower, dropout=0.0)  # it draws other numbers on a GPU
    model = replace(model, text_tower=text_tower)
    config = tiny_config(num_processes=16, duration=Duration(steps=4), model=model)
    on_gpus = train(tmp_path / "gpu", config, visible=None)
    on_cpus = train(tmp_path / "cpu", replace(config, num_processes=on_gpus["ranks"]), visible="")

    assert len(on_gpus["losses"]) == 4
    assert on_gpus["ranks"] == on_cpus["ranks"] < 16
    assert on_gpus["losses"] == pytest.approx(on_cpus["losses"], rel=1e-2)


def train(folder: Path, config: TrainConfig, *, visible: str | None) -> dict[str, Any]:
    folder.mkdir()
    pipelines = make_run(folder, config)
    environment = rank_environment()
    del environment["CUDA_VISIBLE_DEVICES"]  # which conftest.py hides from all other tests
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    done = subprocess.run(
        [sys.executable, "-m", "openalign", "train", "tiny", "--config", str(pipelines)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    output = folder / "run" / "train"
    steps = read_json_lines((output / "metrics.jsonl").read_text())
    times = read_json_lines((output / "run.jsonl").read_text())
    losses = [step["train/loss"] for step in steps if "train/loss" in step]
    return {"ranks": times[-1]["ranks"], "losses": losses}
