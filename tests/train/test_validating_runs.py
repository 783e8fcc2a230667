"""Runs that validate on pairs of their own, and export the best of their weights."""

from collections.abc import Callable
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
from openalign.train.checkpoints.manifest import BestStep, read_manifest
from openalign.train.checkpoints.pieces import load_towers
from openalign.train.config import TrainConfig, Validation
from openalign.train.data.held_out import orders_of
from openalign.train.data.vocabulary import load_vocabulary
from openalign.train.model.batch_norm import batch_norms
from openalign.train.model.towers import Towers, build_towers
from openalign.train.state import open_pairs
from openalign.train.updates import RewindSpikes

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

STAGES = (0, 1, 2, 3)
CONFIG = tiny_config(
    validation=Validation(every_steps=2), export="best", keep_checkpoints=1, batch_norm_batches=2
)
BEST = validation_checks.WORSE_AFTER
UNEVEN = replace(
    CONFIG,
    global_batch_size=12,
    block_size=4,
    frozen=("image_tower",),
    loss="tiled",
    zero=replace(CONFIG.zero, stage=3, persistence_threshold=0),
)
"""Three blocks on two ranks, and an image tower that stays in evaluation mode."""


AUTOCAST = replace(CONFIG, precision="bf16")
GOES_BACK = replace(CONFIG, loss_spikes=RewindSpikes(window_steps=4, undone_steps=3))


def of_stage(config: TrainConfig, stage: int) -> TrainConfig:
    return replace(config, zero=replace(config.zero, stage=stage, persistence_threshold=0))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def trained(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a run: of each stage, uneven shares, autocast, and looks at the end alone."""
    root = tmp_path_factory.mktemp("validated")
    seldom = replace(CONFIG, validation=Validation(every_steps=1000), export="last")
    jobs = [(of_stage(CONFIG, stage), corpus, str(root / f"stage-{stage}")) for stage in STAGES]
    jobs += [(of_stage(seldom, 3), corpus, str(root / "seldom"))]
    jobs += [(UNEVEN, corpus, str(root / "uneven")), (AUTOCAST, corpus, str(root / "bf16"))]
    job = (validation_checks.train_all, (jobs,))
    said = finish(start_ranks(job, num_ranks=2, folder=root))[0]
    lowest = validated(root / "stage-0")[BEST]
    assert " after 4 of 8 steps, the lowest so far" in said
    assert f" after 6 of 8 steps; the lowest is {lowest:.3f}, after 4" in said
    return root


def lines(folder: Path) -> list[dict[str, Any]]:
    return read_json_lines((folder / "metrics.jsonl").read_text())


def validated(folder: Path) -> dict[int, float]:
    """Return losses by the number of steps that were done."""
    key = "validation/loss"
    return {line["step"]: line[key] for line in lines(folder) if key in line}


def towers_at(folder: Path, step: int, config: TrainConfig = CONFIG) -> Towers:
    vocabulary = load_vocabulary(str(folder / "vocabulary.txt"))
    towers = build_towers(config, vocabulary_size=len(vocabulary))
    load_towers(towers, folder / "checkpoints" / f"step-{step:08d}")
    return towers


def test_pairs_are_looked_at_after_each_so_many_steps_and_at_the_end(trained: Path) -> None:
    assert list(validated(trained / "stage-2")) == [2, 4, 6, 8]
    assert list(validated(trained / "seldom")) == [8]
    # A line has both losses of the same weights, and behind the last step there is but one.
    assert [line["step"] for line in lines(trained / "seldom")] == list(range(9))
    assert "train/loss" not in lines(trained / "seldom")[8]


@pytest.mark.parametrize(
    ("name", "config", "rel"),
    [
        ("stage-2", CONFIG, 1e-5),
        ("uneven", UNEVEN, 1e-5),
        pytest.param("bf16", AUTOCAST, 1e-2, id="bf16"),  # its rounding hangs on threads
    ],
)
def test_the_loss_is_that_of_held_out_pairs_by_the_oracle(
    trained: Path, corpus: Corpus, name: str, config: TrainConfig, rel: float
) -> None:
    """Each block has its own batch-norm statistics, and images are seen in their middle."""
    folder, index = trained / name, corpus.mapped()
    held_out = orders_of(config, index).held_out
    assert held_out is not None
    size, block = config.global_batch_size, config.pairs_per_block
    plain = replace(config.augmentation, random_crop=False, scale=0.0, shift=0.0)
    with closing(ShardReader(corpus.shards)) as shards:
        data = open_pairs(
            replace(config, augmentation=plain),
            index,
            load_vocabulary(str(folder / "vocabulary.txt")),
            shards,
            device=torch.device("cpu"),
            order=held_out,
        )
        with closing(data):
            batch = data.batch(0, start=0, stop=size)
    assert batch.rows.tolist() == held_out.rows(np.arange(size)).tolist()
    looks = validated(folder)
    best = min(looks, key=looks.__getitem__)
    towers = towers_at(folder, best, config).eval()
    for layer in batch_norms(towers):
        layer.train()

    found = [
        towers(batch.pixels[rows], batch.tokens.ids[rows], batch.tokens.mask[rows])
        for rows in (slice(start, start + block) for start in range(0, size, block))
    ]

    image, text = (torch.cat([each[part] for each in found]).detach().double() for part in (0, 1))
    case = Case(image, text, towers.temperature.item(), config.label_smoothing, None)
    assert looks[best] == pytest.approx(float(case.expected().loss), rel=rel)


def test_a_look_changes_no_step(trained: Path) -> None:
    """Not under ZeRO-3 either, where it is a forward pass that no backward pass follows."""
    often, seldom = (
        [line["train/loss"] for line in lines(trained / name)[:8]] for name in ("stage-3", "seldom")
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

    assert weights_are_exported(folder, BEST)
    assert not weights_are_exported(folder, 8)


def weights_are_exported(folder: Path, step: int) -> bool:
    """Tell whether the export has the weights that a checkpoint has."""
    exported = load_file(folder / "export" / "model.safetensors")
    return all(
        torch.equal(exported[name.removeprefix("align.")].view(-1), weight.view(-1))
        for name, weight in towers_at(folder, step).named_parameters()
    )


def test_a_run_that_goes_back_forgets_the_looks_that_it_undoes(
    corpus: Corpus, tmp_path: Path, trained: Path
) -> None:
    """The best step is looked at twice, and it is what the second time led to that is exported."""
    config = of_stage(GOES_BACK, 2)
    job = (validation_checks.train_and_go_back, (config, corpus, str(tmp_path)))
    finish(start_ranks(job, num_ranks=2, folder=tmp_path))
    (below_url,) = tmp_path.glob("openalign-train-*")  # where rank 0 made its result

    rewound, best = tmp_path / "rewound", validation_checks.BEST_BEHIND
    for name in ("metrics.jsonl", "rewound.jsonl", "export/model.safetensors"):
        assert (rewound / name).read_bytes() == (tmp_path / "known" / name).read_bytes()
        assert (rewound / name).read_bytes() == (below_url / name).read_bytes()
    looks = validated(rewound)
    assert list(looks) == [2, 4, 6, 8]
    undisturbed = validated(trained / "stage-2")
    assert looks[4] == undisturbed[4]
    assert looks[best] != pytest.approx(undisturbed[best] - 1.0, rel=1e-6)
    assert weights_are_exported(rewound, best)
    assert not weights_are_exported(rewound, 8)
    newest = read_manifest(str(rewound / "checkpoints" / "step-00000008"))
    assert newest.progress.best == BestStep(step=best, loss=looks[best])


@pytest.mark.parametrize(
    ("end", "step"),
    [
        pytest.param(validation_checks.train_until_killed, 6, id="killed"),
        # A look is due behind the step that the run is stopped in: the next start takes it.
        pytest.param(validation_checks.train_until_stopped, 4, id="stopped"),
    ],
)
def test_a_run_that_is_ended_comes_to_the_same_best(
    corpus: Corpus, tmp_path: Path, trained: Path, end: Callable[..., None], step: int
) -> None:
    places = (of_stage(CONFIG, 2), corpus, str(tmp_path))
    ended = start_ranks((end, (*places, step)), num_ranks=2, folder=tmp_path)
    said = [process.communicate()[0] for process in ended]
    assert any(process.returncode for process in ended), said

    job = (validation_checks.train_all, ([places],))
    finish(start_ranks(job, num_ranks=2, folder=tmp_path))

    for name in ("metrics.jsonl", "export/model.safetensors"):
        assert (tmp_path / name).read_bytes() == (trained / "stage-2" / name).read_bytes()
