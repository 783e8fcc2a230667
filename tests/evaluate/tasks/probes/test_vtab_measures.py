"""A VTAB task on few images: its sweep, its runs, and that nothing depends on processes."""

# ruff: noqa: N806  # capitals are shape suffixes

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from embedded import embedded_benchmark, image_called

from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.linear.head import num_right
from openalign.evaluate.linear.rows import threads
from openalign.evaluate.linear.sgd import descend
from openalign.evaluate.metrics.bootstrap import Bootstrap
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark
from openalign.evaluate.tasks.contract import Material, Measured, Sampling
from openalign.evaluate.tasks.probes import vtab
from openalign.evaluate.tasks.probes.head_outcomes import labeled_at
from openalign.evaluate.tasks.probes.vtab import VtabExamples, VtabFacts, VtabProbeTask, VtabTrial
from openalign.evaluate.tasks.probes.vtab_measures import alone, best_of, descent_of
from openalign.train.data.order import seed_at
from openalign.train.sweep import bit
from openalign.train.sweep.ranges import Choice, draw_trial

SAMPLING = Sampling(bootstrap=Bootstrap(resamples=50, confidence=0.9, seed=0), num_examples=5)
SIZES = {"test": 30, "train800": 24, "val200": 12, "train800val200": 5}
TASK = VtabProbeTask(benchmark="vtab_kitti_distance", trials=4, runs=2, num_processes=1)
MeasuredVtab = Measured[VtabFacts, VtabExamples]


@pytest.fixture(autouse=True)
def _short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bit.FROZEN_RANGES, bit.UPDATES, Choice((5, 10, 20)))


def kitti(*, unseen: int | None = None) -> EmbeddedBenchmark:
    """Return clouds of four classes; nothing of `unseen` is learned from."""
    random = np.random.default_rng(3)
    center_CD = random.normal(size=(4, 8))
    images, rows = [], []
    for split, number in SIZES.items():
        for at in range(number):
            label = at % 4
            if split != "test" and label == unseen:
                continue
            images.append(image_called(f"{split}/{at}.png", split=split, label=label))
            rows.append((center_CD[label] + 1.3 * random.normal(size=8)).tolist())
    classes = tuple(ImageClass(id=str(number)) for number in range(4))
    return embedded_benchmark(Dataset(images=images, classes=classes), rows)


def measured(
    task: VtabProbeTask = TASK,
    *,
    benchmark: EmbeddedBenchmark | None = None,
    work: str = "",
    sampling: Sampling = SAMPLING,
) -> MeasuredVtab:
    material = Material(benchmark=benchmark or kitti(), texts={}, work=work)
    return vtab.measure(task, material, sampling)


def test_the_best_trial_is_trained_on_both_parts_and_tested_as_often_as_there_are_runs() -> None:
    benchmark = kitti()
    train, val, test = (benchmark.places_of(split) for split in ("train800", "val200", "test"))
    drawn = [draw_trial(bit.FROZEN_RANGES, number, seed=0) for number in range(4)]
    trials = [
        VtabTrial(
            learning_rate=each["learning_rate"],
            updates=int(each["updates"]),
            dropout=each["dropout"],
            decay=each["decay"],
            num_right=0,
        )
        for each in drawn
    ]
    with threads(1) as on:
        right = [
            num_right(
                descend(labeled_at(benchmark, train), descent_of(trial), on, seed=0),
                labeled_at(benchmark, val),
                on,
            )
            for trial in trials
        ]
        best = right.index(max(right))
        both = labeled_at(benchmark, np.concatenate([train, val]))
        runs = [
            num_right(
                descend(both, descent_of(trials[best]), on, seed=seed_at(0, run)),
                labeled_at(benchmark, test),
                on,
            )
            for run in range(2)
        ]

    found = measured()

    assert [trial.num_right for trial in found.facts.trials] == right
    assert found.facts.chosen == best
    assert found.facts.run_right == tuple(runs)
    top, deviation = found.metrics
    assert (top.name, top.n, top.chance) == ("vtab/vtab_kitti_distance/top_1", 30, 0.25)
    assert top.value == pytest.approx(sum(runs) / 60)
    assert top.low <= top.value <= top.high
    assert deviation.value == pytest.approx(abs(runs[0] - runs[1]) / 30 / np.sqrt(2))
    assert (found.facts.num_train, found.facts.num_val, found.facts.num_test) == (24, 12, 30)


def trial(num_right: int) -> VtabTrial:
    return VtabTrial(learning_rate=0.1, updates=5, dropout=0.0, decay=0.0, num_right=num_right)


def test_of_equal_trials_the_first_is_taken() -> None:
    assert best_of([trial(5), trial(9), trial(9), trial(1)]) == 1


def test_a_trial_takes_the_steps_of_its_settings() -> None:
    settings = VtabTrial(learning_rate=0.1, updates=10, dropout=0.5, decay=0.01, num_right=0)

    descent = descent_of(settings)

    assert (descent.steps, descent.batch_size) == (10, 64)
    assert (descent.dropout, descent.weight_decay) == (0.5, 0.01)
    assert [descent.factor(step) for step in (0, 3, 6, 9)] == pytest.approx([1, 0.1, 0.01, 0.001])


def test_more_trials_change_no_earlier_one() -> None:
    assert measured(replace(TASK, trials=6)).facts.trials[:4] == measured().facts.trials


def test_another_seed_draws_other_trials_and_takes_none_of_the_first(tmp_path: Path) -> None:
    first = measured(work=str(tmp_path))

    other = measured(replace(TASK, seed=1), work=str(tmp_path))

    assert other == measured(replace(TASK, seed=1))
    assert other.facts.trials != first.facts.trials


def test_a_trial_holds_no_row_that_it_does_not_need() -> None:
    benchmark = kitti()

    found = alone(labeled_at(benchmark, benchmark.places_of("val200")))

    assert found.image_GD.shape == (12, 8)
    assert found.digest() == labeled_at(benchmark, benchmark.places_of("val200")).digest()


@pytest.mark.distributed
def test_processes_give_the_numbers_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # other processes draw from the ranges as they are
    short = replace(TASK, trials=3, seed=5)
    alone_, together = str(tmp_path / "alone"), str(tmp_path / "together")

    one = measured(short, work=alone_)
    two = measured(replace(short, num_processes=2), work=together)

    assert two == one
    files = [
        {file.name: json.loads(file.read_text()) for file in Path(folder).rglob("*.json")}
        for folder in (alone_, together)
    ]
    assert files[0] == files[1]
    assert sorted(files[0]) == ["trial-0000.json", "trial-0001.json", "trial-0002.json"]


def test_a_killed_sweep_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from openalign.evaluate.tasks.probes import vtab_measures

    whole = measured()
    try_out, tried = vtab_measures.try_out, []

    def dying(*args: object) -> VtabTrial:
        if len(tried) == 2:
            raise KeyboardInterrupt
        tried.append(args)
        return try_out(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(vtab_measures, "try_out", dying)
    with pytest.raises(KeyboardInterrupt):
        measured(work=str(tmp_path))
    tried.clear()

    # Two trials were kept, so no more than two are run.
    assert measured(work=str(tmp_path)) == whole
    assert len(tried) == 2


def test_a_class_that_is_not_learned_from_is_missed() -> None:
    found = measured(benchmark=kitti(unseen=3))

    assert found.facts.num_unseen_classes == 1
    assert max(found.facts.run_right) <= 30 - 7  # every fourth of 30 images, from the fourth on


def test_a_smoke_run_is_one_trial_and_one_run() -> None:
    found = measured(sampling=replace(SAMPLING, fast=True))

    assert (len(found.facts.trials), len(found.facts.run_right)) == (1, 1)
    assert found.metrics[1].value == 0.0
