"""Training on the GPUs of this machine; skipped where there is none."""

import pickle
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import (
    Duration,
    make_corpus,
    make_run,
    rank_environment,
    tiny_config,
    tiny_model,
    write_device,
)

from openalign.files.shards import ShardReader
from openalign.telemetry import read_json_lines
from openalign.train import launch
from openalign.train.config import Augmentation, TrainConfig
from openalign.train.data.pairs import TrainingSet
from openalign.train.data.pixel_batch import PixelBatch
from openalign.train.data.preprocess import SPECIAL_TOKENS, Preprocess, build_tokenizer
from openalign.train.stopping import Stopping

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.distributed,
    pytest.mark.slow,
    pytest.mark.skipif(not any(Path("/dev").glob("nvidia[0-9]*")), reason="needs an NVIDIA GPU"),
]


@pytest.mark.usefixtures("with_gpus")
def test_a_rank_is_on_a_gpu(tmp_path: Path) -> None:
    job, seen = tmp_path / "job.pkl", tmp_path / "seen"
    job.write_bytes(pickle.dumps((write_device, (str(seen),))))

    launch.launch(
        [str(job)],
        num_processes=1,
        folders=[str(tmp_path)],
        stop=Stopping(grace_seconds=20),
        environment=rank_environment(),
        module="tiny_training",
    )

    assert seen.read_text().startswith("cuda:0, ")


@pytest.mark.usefixtures("with_gpus")
@pytest.mark.parametrize(
    "preprocess",
    [
        pytest.param(Preprocess(resize_px=36, crop_px=32, max_tokens=16), id="from -1 to 1"),
        pytest.param(
            Preprocess(resize_px=36, crop_px=32, max_tokens=16, mean=(0.48, 0.46, 0.41)),
            id="a mean",
        ),
    ],
)
def test_bytes_lie_in_pinned_memory_and_become_the_floats_of_a_cpu(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    corpus = make_corpus(tmp_path)
    data = TrainingSet(
        corpus.mapped(),
        shards=ShardReader(corpus.shards),
        preprocess=preprocess,
        tokenizer=build_tokenizer([*SPECIAL_TOKENS, "a"], preprocess),
        augmentation=Augmentation(),
        seed=0,
        decode_threads=2,
        image_cache_mb=8,
        pinned=True,
    )
    with closing(data):
        batch = data.batch(0, start=0, stop=64)
    assert isinstance(batch.pixels, PixelBatch)
    assert batch.pixels.images.is_pinned()
    assert batch.tokens.ids.is_pinned()

    on_gpu = batch.pixels.to(torch.device("cuda"), non_blocking=True)[:]

    assert torch.equal(on_gpu.cpu(), batch.pixels[:])


@pytest.mark.usefixtures("with_gpus")
def test_training_on_gpus_follows_training_on_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ranks are asked for; with one GPU one trains. The CPUs repeat it with as many."""
    model = tiny_model()
    text_tower = replace(model.text_tower, dropout=0.0)  # it draws other numbers on a GPU
    model = replace(model, text_tower=text_tower)
    config = tiny_config(num_processes=2, duration=Duration(steps=4), model=model)

    on_gpus = train(tmp_path / "gpu", config)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    on_cpus = train(tmp_path / "cpu", replace(config, num_processes=on_gpus["ranks"]))

    assert len(on_gpus["losses"]) == 4
    assert on_gpus["ranks"] == on_cpus["ranks"]
    assert on_gpus["losses"] == pytest.approx(on_cpus["losses"], rel=1e-2)


def train(folder: Path, config: TrainConfig) -> dict[str, Any]:
    """Train a tiny run; return its number of ranks and its losses."""
    folder.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "openalign", "train", "tiny"),
            *("--config", str(make_run(folder, config))),
        ],
        env=rank_environment(),
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
