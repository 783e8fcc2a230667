"""Measures of a linear probe (ALIGN §5.3), on embeddings alone.

By L-BFGS, penalties are tried on a part of the training images and chosen on the rest; the head of
the best one is fitted anew on all of them, and tested once. By SGD there is nothing to choose. A
class that ties with the right one comes before it.

Every number is a count, or drawn from counts, and nothing depends on the number of threads.
"""

# capitals are shape suffixes

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from openalign.evaluate.drawing.sampling import FIRST, sample
from openalign.evaluate.linear import lbfgs
from openalign.evaluate.linear.head import LinearHead, first_classes, num_right
from openalign.evaluate.linear.rows import Labeled, Threads, threads
from openalign.evaluate.linear.sgd import Descent, descend, num_steps
from openalign.evaluate.results import library_versions
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark
from openalign.evaluate.tasks.contract import Material, Measured, Sampling, name_of
from openalign.evaluate.tasks.per_class import ClassifiedExamples
from openalign.evaluate.tasks.per_class_measures import (
    Outcome,
    accuracy_metrics,
    classified_examples,
    shown_by_classes,
    titles_of,
)
from openalign.evaluate.tasks.probes.head_outcomes import labeled_at, outcome_of
from openalign.evaluate.tasks.probes.probe import (
    Descended,
    Lbfgs,
    PenaltySweep,
    PenaltyTrial,
    ProbeFacts,
    ProbeTask,
    Sgd,
    splits_of,
    validation_split_of,
)
from openalign.train.fine_tune.recipes import IMAGENET_HEAD
from openalign.train.fine_tune.schedule import falling_factor
from openalign.train.sweep.ledger import Ledger
from openalign.train.sweep.trials import run_trials

_VERSION = 2
"""Raised when a fit ends elsewhere than before: fits of an earlier version are not gone on from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is learned from: `whole` is `fitted` and `held_out` together."""

    whole: Labeled
    fitted: Labeled
    held_out: Labeled
    words: str
    """What was held out."""


def measure(
    task: ProbeTask, material: Material, sampling: Sampling
) -> Measured[ProbeFacts, ClassifiedExamples]:
    """Return top-1, top-5 and the mean per class, with examples."""
    benchmark = material.benchmark
    split, train_split = splits_of(task, benchmark.dataset)
    parts = parts_of(task, benchmark)
    asked = labeled_at(benchmark, benchmark.places_of(split))
    sweep, descended = None, None
    with threads() as on:
        if isinstance(task.method, Lbfgs):
            head, sweep = _by_lbfgs(parts, task.method, material, fast=sampling.fast, on=on)
        else:
            head, descended = _by_sgd(parts.whole, task.method, fast=sampling.fast, on=on)
        outcome = outcome_of(benchmark, head, asked, on)
    num_classes = asked.num_classes
    examples = _examples(benchmark, head, asked, outcome, sampling.num_examples)
    return Measured(
        resampled=accuracy_metrics(
            f"probe/{name_of(task)}",
            outcome,
            num_classes=num_classes,
            bootstrap=sampling.bootstrap,
        ),
        facts=ProbeFacts(
            split=split,
            train_split=train_split,
            num_images=len(asked),
            num_train_images=len(parts.whole),
            num_classes=num_classes,
            num_unseen_classes=num_classes - len(np.unique(parts.whole.label_N)),
            sweep=sweep,
            descended=descended,
        ),
        examples=examples,
        shown=shown_by_classes(examples),
    )


def parts_of(task: ProbeTask, benchmark: EmbeddedBenchmark) -> Parts:
    """Return what is fitted on, and what is held out of it to choose the penalty by.

    Where no split is named, the images whose names have the smallest hashes are held out.
    """
    train = benchmark.places_of(splits_of(task, benchmark.dataset)[1])
    validation_split = validation_split_of(task)
    if validation_split:
        held_out, fitted = benchmark.places_of(validation_split), train
        words = f"split {validation_split}"
    else:
        share = task.method.held_out_share if isinstance(task.method, Lbfgs) else 0.0
        num = min(max(1, round(share * len(train))), len(train) - 1)
        chosen = np.array(sample([benchmark.images[at].name for at in train], num), dtype=np.int64)
        held_out, fitted = train[chosen], np.delete(train, chosen)
        words = f"{num:,} of the training images, drawn by the hash of their names"
    whole = np.sort(np.concatenate([fitted, held_out]))
    return Parts(
        whole=labeled_at(benchmark, whole),
        fitted=labeled_at(benchmark, fitted),
        held_out=labeled_at(benchmark, held_out),
        words=words,
    )


def _by_lbfgs(
    parts: Parts, method: Lbfgs, material: Material, *, fast: bool, on: Threads
) -> tuple[LinearHead, PenaltySweep]:
    fit = partial(lbfgs.fit, max_iterations=method.max_iterations, on=on)
    ledger = Ledger(
        material.work,
        of={
            "version": _VERSION,
            "fitted": parts.fitted.digest(),
            "held_out": parts.held_out.digest(),
            "max_iterations": method.max_iterations,
            "libraries": library_versions(),
        },
        record=PenaltyTrial,
    )

    def try_out(penalty: float) -> PenaltyTrial:
        found = fit(parts.fitted, penalty=penalty, gradient_at_most=lbfgs.ROUGH_GRADIENT)
        return PenaltyTrial(
            penalty=penalty,
            num_right=num_right(found.head, parts.held_out, on),
            iterations=found.iterations,
            converged=found.converged,
        )

    def tried(penalties: Sequence[float]) -> list[PenaltyTrial]:
        trials = {f"penalty-{penalty:.5e}": partial(try_out, penalty) for penalty in penalties}
        return list(run_trials(trials, ledger).values())

    trials = search(method, tried) if not fast else tried([1.0])
    best = best_of(trials)
    last = fit(parts.whole, penalty=best.penalty)
    return last.head, PenaltySweep(
        held_out=parts.words,
        num_fitted=len(parts.fitted),
        num_held_out=len(parts.held_out),
        trials=tuple(trials),
        penalty=best.penalty,
        iterations=last.iterations,
        converged=last.converged,
    )


def search(
    method: Lbfgs, tried: Callable[[Sequence[float]], Sequence[PenaltyTrial]]
) -> list[PenaltyTrial]:
    """Return what became of the penalties that were tried, the smallest first.

    As in CLIP (its appendix A.3): every second decade, then half the step to either side of the
    best so far, until the step is the smallest.
    """
    per_decade = method.steps_per_decade
    first, last = method.lowest_decade * per_decade, method.highest_decade * per_decade
    found: dict[int, PenaltyTrial] = {}

    def try_steps(steps: Iterable[int]) -> None:
        new = sorted(set(steps) - set(found))
        outcomes = tried([penalty_at(step, per_decade) for step in new])
        found.update(zip(new, outcomes, strict=True))

    stride = 2 * per_decade
    try_steps([*range(first, last, stride), last])
    while stride > 1:
        stride //= 2
        best = max(found, key=lambda step: (found[step].num_right, step))
        try_steps([max(first, best - stride), min(last, best + stride)])
    return [found[step] for step in sorted(found)]


def penalty_at(step: int, per_decade: int) -> float:
    """Return the penalty of a step, to six digits: what a report prints is what was tried."""
    return float(f"{10 ** (step / per_decade):.6g}")


def best_of(trials: Iterable[PenaltyTrial]) -> PenaltyTrial:
    """Return the trial with the most right answers; of several, the one of the largest penalty."""
    return max(trials, key=lambda trial: (trial.num_right, trial.penalty))


def _by_sgd(
    whole: Labeled, method: Sgd, *, fast: bool, on: Threads
) -> tuple[LinearHead, Descended]:
    epochs = 1.0 if fast else method.epochs
    steps = num_steps(epochs=epochs, num_rows=len(whole), batch_size=method.batch_size)
    descent = Descent(
        steps=steps,
        batch_size=method.batch_size,
        learning_rate=method.learning_rate,
        factor=partial(falling_factor, IMAGENET_HEAD.falls, total_steps=steps),
        weight_decay=method.weight_decay,
    )
    head = descend(whole, descent, on, seed=method.seed)
    return head, Descended(
        steps=steps,
        batch_size=min(method.batch_size, len(whole)),
        learning_rate=method.learning_rate,
    )


def _examples(
    benchmark: EmbeddedBenchmark,
    head: LinearHead,
    asked: Labeled,
    outcome: Outcome,
    num_examples: int,
) -> ClassifiedExamples:
    titles = titles_of(benchmark.dataset.classes)
    shown = sample(outcome.name_Q, num_examples)
    first = first_classes(head, asked.image_GD[asked.places_N[shown]], FIRST)
    return classified_examples(titles, outcome, shown, first)
