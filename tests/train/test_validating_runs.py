"""Runs that validate on pairs of their own, and export the best of their weights."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import validation_checks
from loss_oracle import Case
from safetensors.torch import load_file
from tiny_training import Corpus, finish, make_corpus, start_ranks, tiny_config

from openalign.files.shards import ShardReader
from openalign.telemetry import read_json_lines
from openalign.train.checkpoints.pieces import load_towers
from openalign.train.config import TrainConfig, Validation
from openalign.train.data.held_out import orders_of
from openalign.train.data.vocabulary import load_vocabulary
from openalign.train.model.batch_norm import batch_norms
from openalign.train.model.towers import Towers, build_towers
from openalign.train.state import open_pairs

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

STAGES = (0, 1, 2, 3)
CONFIG = tiny_config(
    validation=Validation(every_steps=2), export="best", keep_checkpoints=1, batch_norm_batches=2
)
BEST = validation_checks.WORSE_AFTER


def of_stage(config: TrainConfig, stage: int) -> TrainConfig:
    return replace(config, zero=replace(config.zero, stage=stage, persistence_threshold=0))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def trained(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a run: of each stage, and one that looks at the end alone."""
    root = tmp_path_factory.mktemp("validated")
    seldom = replace(CONFIG, validation=Validation(every_steps=1000), export="last")
    jobs = [(of_stage(CONFIG, stage), corpus, str(root / f"stage-{stage}")) for stage in STAGES]
    jobs.append((of_stage(seldom, 3), corpus, str(root / "seldom")))
    job = (validation_checks.train_all, (jobs,))
    said = finish(start_ranks(job, num_ranks=2, folder=root))[0]
    assert "train     validation loss " in said
    assert "; the lowest is " in said
    return root


def lines(folder: Path) -> list[dict[str, Any]]:
    return read_json_lines((folder / "metrics.jsonl").read_text())


def validated(folder: Path) -> dict[int, float]:
    """Return losses by the number of steps that were done."""
    key = "validation/loss"
    return {line["step"] + 1: line[key] for line in lines(folder) if key in line}


def towers_at(folder: Path, step: int) -> Towers:
    vocabulary = load_vocabulary(str(folder / "vocabulary.txt"))
    towers = build_towers(CONFIG, vocabulary_size=len(vocabulary))
    load_towers(towers, folder / "checkpoints" / f"step-{step:08d}")
    return towers


def test_pairs_are_validated_on_each_so_many_steps_and_at_the_end(trained: Path) -> None:
    assert list(validated(trained / "stage-2")) == [2, 4, 6, 8]
    assert list(validated(trained / "seldom")) == [8]


def test_the_loss_is_that_of_held_out_pairs_by_the_oracle(trained: Path, corpus: Corpus) -> None:
    """Of two blocks, each with its own batch-norm statistics, in the middle of their images."""
    folder, index = trained / "stage-2", corpus.mapped()
    held_out = orders_of(CONFIG, index).held_out
    assert held_out is not None
    plain = replace(CONFIG.augmentation, random_crop=False, scale=0.0, shift=0.0)
    with closing(ShardReader(corpus.shards)) as shards:
        data = open_pairs(
            replace(CONFIG, augmentation=plain),
            index,
            load_vocabulary(str(folder / "vocabulary.txt")),
            shards,
            device=torch.device("cpu"),
            order=held_out,
        )
        with closing(data):
            batch = data.batch(0, start=0, stop=16)
    assert batch.rows.tolist() == held_out.rows(np.arange(16)).tolist()
    towers = towers_at(folder, BEST).eval()
    for layer in batch_norms(towers):
        layer.train()

    found = [
        towers(batch.pixels[rows], batch.tokens.ids[rows], batch.tokens.mask[rows])
        for rows in (slice(0, 8), slice(8, 16))
    ]

    image, text = (torch.cat([each[part] for each in found]).detach().double() for part in (0, 1))
    case = Case(image, text, float(towers.temperature), CONFIG.label_smoothing, None)
    assert validated(folder)[BEST] == pytest.approx(float(case.expected().loss), rel=1e-5)


def test_a_look_changes_no_step(trained: Path) -> None:
    """Not under ZeRO-3 either, where it is a forward pass that no backward pass follows."""
    often, seldom = (
        [line["train/loss"] for line in lines(trained / name)] for name in ("stage-3", "seldom")
    )

    assert len(often) == 8
    assert often == seldom


def test_every_stage_finds_the_same(trained: Path) -> None:
    first = validated(trained / "stage-0")
    for stage in STAGES[1:]:
        found = validated(trained / f"stage-{stage}")
        assert found == {step: pytest.approx(loss, rel=1e-4) for step, loss in first.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_the_best_weights_are_exported_and_their_checkpoint_stays(
    trained: Path, stage: int
) -> None:
    folder = trained / f"stage-{stage}"
    kept = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert kept == [f"step-{BEST:08d}", "step-00000008"]

    exported = load_file(folder / "export" / "model.safetensors")

    best, last = towers_at(folder, BEST), towers_at(folder, 8)
    same = [
        [
            torch.equal(exported[name.removeprefix("align.")].view(-1), weight.view(-1))
            for name, weight in towers.named_parameters()
        ]
        for towers in (best, last)
    ]
    assert all(same[0])
    assert not any(same[1])


def test_a_killed_run_ends_with_the_same_best(
    corpus: Corpus, tmp_path: Path, trained: Path
) -> None:
    places = (of_stage(CONFIG, 2), corpus, str(tmp_path))
    job = (validation_checks.train_until_killed, (*places, 6))
    assert any(process.wait() for process in start_ranks(job, num_ranks=2, folder=tmp_path))

    job = (validation_checks.train_all, ([places],))
    finish(start_ranks(job, num_ranks=2, folder=tmp_path))

    for name in ("metrics.jsonl", "export/model.safetensors"):
        assert (tmp_path / name).read_bytes() == (trained / "stage-2" / name).read_bytes()
