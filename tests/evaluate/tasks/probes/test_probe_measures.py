"""Linear probes on few images, beside fits that are made by hand."""

# ruff: noqa: N806  # capitals are shape suffixes

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from embedded import embedded_benchmark, image_called
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.linear import lbfgs
from openalign.evaluate.linear.rows import threads
from openalign.evaluate.metrics.bootstrap import Bootstrap
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark
from openalign.evaluate.tasks.contract import Material, Measured, Sampling
from openalign.evaluate.tasks.per_class import ClassifiedExamples
from openalign.evaluate.tasks.probes import probe, probe_measures
from openalign.evaluate.tasks.probes.probe import (
    Lbfgs,
    PenaltyTrial,
    ProbeFacts,
    ProbeTask,
    Sgd,
)
from openalign.evaluate.tasks.probes.probe_measures import best_of, parts_of, penalty_at, search

SAMPLING = Sampling(bootstrap=Bootstrap(resamples=50, confidence=0.9, seed=0), num_examples=5)
MeasuredProbe = Measured[ProbeFacts, ClassifiedExamples]
SIZES = {"train": 60, "val": 30, "test": 40}
COARSE = Lbfgs(lowest_decade=-3, highest_decade=3, steps_per_decade=1)


def clouds(num_classes: int = 3, *, unseen: int | None = None) -> EmbeddedBenchmark:
    """Return images of three splits in overlapping clouds; no training image is of `unseen`."""
    random = np.random.default_rng(8)
    center_CD = random.normal(size=(num_classes, 10))
    images, rows = [], []
    for split, number in SIZES.items():
        for at in range(number):
            label = at % num_classes
            if split == "train" and label == unseen:
                continue
            images.append(image_called(f"{split}/{at}.png", split=split, label=label))
            rows.append((center_CD[label] + 1.2 * random.normal(size=10)).tolist())
    classes = tuple(ImageClass(id=f"class {number}") for number in range(num_classes))
    return embedded_benchmark(Dataset(images=images, classes=classes), rows)


def measured(
    benchmark: EmbeddedBenchmark,
    method: Lbfgs | Sgd,
    *,
    work: str = "",
    sampling: Sampling = SAMPLING,
) -> MeasuredProbe:
    task = ProbeTask(benchmark="pets", method=method)
    return probe.measure(task, Material(benchmark=benchmark, texts={}, work=work), sampling)


def accuracy(found: MeasuredProbe) -> dict[str, float]:
    return {m.name.removeprefix("probe/pets/"): m.value for m in found.metrics}


def test_what_scikit_learn_finds_is_found() -> None:
    benchmark = clouds()
    method = replace(COARSE, validation_split="val")
    train, val, test = (benchmark.places_of(split) for split in SIZES)
    rows_GD, label_G = benchmark.image_GD.astype(np.float64), benchmark.labels

    found = measured(benchmark, method)

    scores: dict[float, int] = {}
    with threadpool_limits(1):
        assert found.facts.sweep is not None
        for penalty in [trial.penalty for trial in found.facts.sweep.trials]:
            theirs = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=100_000)
            theirs.fit(rows_GD[train], label_G[train])
            found_V = np.asarray(theirs.predict(rows_GD[val]))
            scores[penalty] = int(np.count_nonzero(found_V == label_G[val]))
        best = max(scores, key=lambda penalty: (scores[penalty], penalty))
        whole = np.concatenate([train, val])
        last = LogisticRegression(C=1 / best, tol=1e-10, max_iter=100_000)
        last.fit(rows_GD[whole], label_G[whole])
    assert {t.penalty: t.num_right for t in found.facts.sweep.trials} == scores
    assert found.facts.sweep.penalty == best
    hits = np.asarray(last.predict(rows_GD[test])) == label_G[test]
    assert accuracy(found)["top_1"] == pytest.approx(hits.mean())
    by_class = [hits[label_G[test] == label].mean() for label in range(3)]
    assert accuracy(found)["mean_per_class"] == pytest.approx(np.mean(by_class))
    assert [m.chance for m in found.metrics] == pytest.approx([1 / 3, 1 / 3])
    assert (found.facts.num_train_images, found.facts.num_images) == (90, 40)


def test_penalties_are_tried_roughly_and_the_head_that_is_tested_is_exact() -> None:
    benchmark = clouds()
    task = ProbeTask(benchmark="pets", method=COARSE)
    parts = parts_of(task, benchmark)

    sweep = measured(benchmark, COARSE).facts.sweep

    assert sweep is not None
    with threads() as on:
        fit = partial(lbfgs.fit, max_iterations=COARSE.max_iterations, on=on)
        tried = [
            fit(parts.fitted, penalty=each.penalty, gradient_at_most=lbfgs.ROUGH_GRADIENT)
            for each in sweep.trials
        ]
        last = fit(parts.whole, penalty=sweep.penalty, gradient_at_most=lbfgs.EXACT_GRADIENT)
        rough = fit(parts.whole, penalty=sweep.penalty, gradient_at_most=lbfgs.ROUGH_GRADIENT)
    assert [each.iterations for each in sweep.trials] == [each.iterations for each in tried]
    assert sweep.iterations == last.iterations > rough.iterations


def test_top_5_stands_where_there_are_more_classes() -> None:
    found = measured(clouds(num_classes=6), COARSE)

    assert list(accuracy(found)) == ["top_1", "top_5", "mean_per_class"]
    assert accuracy(found)["top_5"] > accuracy(found)["top_1"]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        pytest.param(0.1, 6, id="a tenth"),
        pytest.param(0.001, 1, id="one at least"),
        pytest.param(0.999, 59, id="all but one at most"),
    ],
)
def test_a_part_of_the_training_images_is_held_out_by_their_names(
    share: float, expected: int
) -> None:
    benchmark = clouds()
    task = ProbeTask(benchmark="pets", method=replace(COARSE, held_out_share=share))

    parts = parts_of(task, benchmark)

    train = benchmark.places_of("train").tolist()
    held_out, fitted = parts.held_out.places_N.tolist(), parts.fitted.places_N.tolist()
    assert len(held_out) == expected
    assert sorted(held_out + fitted) == train == parts.whole.places_N.tolist()
    assert parts.held_out.label_N.tolist() == benchmark.labels[held_out].tolist()
    # Other images do not change which of these have the smallest hashes.
    keys = [benchmark.images[at].name for at in held_out]
    fewer = replace(benchmark, dataset=benchmark.dataset.keeping(range(60)))
    again = parts_of(task, fewer).held_out.places_N
    assert [fewer.images[at].name for at in again] == keys


def trial(penalty: float, num_right: int) -> PenaltyTrial:
    return PenaltyTrial(penalty=penalty, num_right=num_right, iterations=1, converged=True)


def test_of_equal_penalties_the_largest_is_taken() -> None:
    trials = [trial(0.1, 7), trial(1.0, 9), trial(10.0, 9), trial(100.0, 8)]

    assert best_of(trials).penalty == 10.0


def test_the_search_halves_its_steps_around_the_best() -> None:
    """As in CLIP: 7 penalties two decades apart, then 2 for each of 4 halvings."""
    asked: list[list[float]] = []

    def tried(penalties: Sequence[float]) -> list[PenaltyTrial]:
        asked.append([round(float(np.log10(penalty)), 3) for penalty in penalties])
        # The nearer to 10**0.6, the better.
        return [trial(p, 1000 - round(100 * abs(np.log10(p) - 0.6))) for p in penalties]

    found = search(Lbfgs(), tried)

    assert asked == [
        [-6, -4, -2, 0, 2, 4, 6],
        [-1, 1],
        [0.5, 1.5],
        [0.25, 0.75],
        [0.375, 0.625],
    ]
    assert best_of(found).penalty == penalty_at(5, 8)  # 10**0.625
    assert [t.penalty for t in found] == sorted(t.penalty for t in found)


@pytest.mark.parametrize("best", [-6, 6], ids=["the smallest", "the largest"])
def test_the_search_stays_inside_its_bounds(best: int) -> None:
    asked: list[float] = []

    def tried(penalties: Sequence[float]) -> list[PenaltyTrial]:
        asked.extend(penalties)
        return [trial(p, 1000 - round(50 * abs(np.log10(p) - best))) for p in penalties]

    search(Lbfgs(), tried)

    assert (min(asked), max(asked)) == (1e-6, 1e6)
    assert len(asked) == len(set(asked)) == 11


def test_of_equally_good_penalties_the_search_goes_on_around_the_largest() -> None:
    asked: list[float] = []

    def tried(penalties: Sequence[float]) -> list[PenaltyTrial]:
        asked.extend(np.log10(penalties).round(3).tolist())
        return [trial(penalty, 5) for penalty in penalties]

    search(Lbfgs(lowest_decade=-2, highest_decade=2, steps_per_decade=2), tried)

    # -2, 0 and 2 first; then one decade, and half a decade, below the largest.
    assert asked == [-2, 0, 2, 1, 1.5]


def test_a_class_without_a_training_image_is_a_miss() -> None:
    found = measured(clouds(unseen=2), COARSE)

    assert found.facts.num_unseen_classes == 1
    scores = {each.title: each.hit_at_1 for each in found.examples.classes}
    assert scores["class 2"] == 0.0
    assert scores["class 0"] > 0.5


def test_the_papers_recipe_chooses_nothing() -> None:
    found = measured(clouds(), Sgd(epochs=50, batch_size=16))

    assert found.facts.sweep is None
    assert found.facts.descended is not None
    assert found.facts.descended.steps == 188  # 50 epochs of 60 images, in steps of 16
    assert accuracy(found)["top_1"] > 0.6


def test_numbers_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from openalign.evaluate.linear import rows

    monkeypatch.setattr(rows, "_NUMBERS_AT_ONCE", 70)  # blocks of seven rows
    for method in (COARSE, Sgd(epochs=5)):
        found = []
        for number in (1, 3):
            monkeypatch.setattr(rows, "usable_cores", lambda number=number: number)
            found.append(measured(clouds(), method))
        assert found[0] == found[1]


def test_a_killed_sweep_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured(clouds(), COARSE, work=str(tmp_path / "whole"))
    fit, fits = probe_measures.lbfgs.fit, []

    def dying(*args: object, **options: object) -> object:
        if len(fits) == 5:
            raise KeyboardInterrupt
        fits.append(options["penalty"])
        return fit(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(probe_measures.lbfgs, "fit", dying)
    with pytest.raises(KeyboardInterrupt):
        measured(clouds(), COARSE, work=str(tmp_path / "killed"))
    first = list(fits)
    fits.clear()
    monkeypatch.setattr(
        probe_measures.lbfgs,
        "fit",
        lambda *args, **options: (fits.append(options["penalty"]), fit(*args, **options))[1],
    )

    again = measured(clouds(), COARSE, work=str(tmp_path / "killed"))

    assert again == whole
    assert not set(first) & set(fits[:-1])  # the last fit is that of the head that is tested


def test_a_smoke_run_tries_one_penalty_and_one_epoch() -> None:
    fast = replace(SAMPLING, fast=True)

    swept = measured(clouds(), COARSE, sampling=fast).facts
    descended = measured(clouds(), Sgd(batch_size=20), sampling=fast).facts

    assert swept.sweep is not None
    assert [each.penalty for each in swept.sweep.trials] == [1.0]
    assert descended.descended is not None
    assert descended.descended.steps == 3
