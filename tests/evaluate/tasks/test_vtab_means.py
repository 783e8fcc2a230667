"""Means over VTAB's tasks and groups, worked out by hand."""

import math
from dataclasses import replace

import pytest
from vtab_facts import ALL, finished, means

from openalign.evaluate.datasets.labels.vtab.vtab_tasks import VTAB_TASKS
from openalign.evaluate.tasks.over_runs import deviation_of
from openalign.evaluate.tasks.vtab_means import means_of_runs, task_sets

NATURAL = [task.name for task in VTAB_TASKS if task.group == "natural"]
PAPER = {"natural": 0.8338, "specialized": 0.8756, "structured": 0.7325}


def test_the_papers_groups_give_the_papers_mean() -> None:
    """Table 6: (7 * 83.38 + 4 * 87.56 + 8 * 73.25) / 19 = 79.99, a mean over tasks."""
    tasks = finished({each.name: [PAPER[each.group]] for each in VTAB_TASKS})

    found = {metric.name: metric for metric in means(tasks)}

    # Runs are counts of 1,000 images, so each share is rounded to a thousandth.
    assert found["vtab/all/mean"].value == pytest.approx(0.7999, abs=6e-4)
    assert found["vtab/all/natural"].value == pytest.approx(0.834)
    assert found["vtab/all/specialized"].value == pytest.approx(0.876)
    assert found["vtab/all/structured"].value == pytest.approx(0.732, abs=1.1e-3)
    assert [found[f"vtab/all/{name}"].n for name in ("mean", *PAPER)] == [19, 7, 4, 8]


def test_a_mean_has_the_error_of_independent_tasks() -> None:
    tasks = finished({name: [0.5] for name in ALL}, half_width=0.02)

    mean = means(tasks)[0]

    # An even spread over +-0.02 has a deviation of 0.02 / sqrt(3); a mean of 19 has 1 / sqrt(19) of
    # it, and 1.96 deviations hold 95 %. Errors that move together would give 0.019.
    half = 1.96 * 0.02 / math.sqrt(3 * 19)
    assert mean.low == pytest.approx(0.5 - half, abs=0.1 * half)
    assert mean.high == pytest.approx(0.5 + half, abs=0.1 * half)


def test_the_deviation_is_that_of_means_of_paired_runs() -> None:
    """Tasks that move against each other leave the mean where it is."""
    up, down = [0.4, 0.5, 0.6], [0.6, 0.5, 0.4]
    runs = {name: up if at % 2 else down for at, name in enumerate(NATURAL)}

    found = {metric.name: metric for metric in means(finished(runs))}

    # Four of seven fall by 0.1 a run, three rise: the means are 0.5 + 0.1 / 7, 0.5, 0.5 - 0.1 / 7.
    assert list(found) == ["vtab/all/natural", "vtab/all/natural_std"]
    assert found["vtab/all/natural_std"].value == pytest.approx(0.1 / 7)
    assert found["vtab/all/natural_std"].n == 3
    assert not found["vtab/all/natural_std"].higher_is_better


def test_a_group_that_is_incomplete_has_no_mean_and_says_what_is_missing() -> None:
    tasks = finished({name: [0.5] for name in NATURAL[1:]})

    whole, natural, specialized, _ = task_sets(tasks)

    assert means(tasks) == []
    assert natural.missing == ["Caltech101"]
    assert len(specialized.missing) == 4
    assert len(whole.missing) == 13
    assert means([]) == []


def test_a_task_that_was_measured_twice_is_averaged_with_nothing() -> None:
    tasks = finished({name: [0.5] for name in NATURAL})
    again = replace(tasks[3], name="once more")

    assert task_sets([*tasks, again])[1].twice == ["Flowers102"]
    assert means([*tasks, again]) == []


def test_tasks_of_different_numbers_of_runs_have_a_mean_but_no_deviation() -> None:
    runs = {name: [0.5, 0.7] for name in NATURAL} | {NATURAL[0]: [0.6]}

    assert [metric.name for metric in means(finished(runs))] == ["vtab/all/natural"]
    assert means_of_runs([]) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([0.5], 0.0, id="one run"),
        # Distances of -0.1, 0, 0.1: two parts of 0.01 over n - 1 = 2.
        pytest.param([0.4, 0.5, 0.6], 0.1, id="three runs"),
    ],
)
def test_a_deviation_is_that_of_a_sample(values: list[float], expected: float) -> None:
    assert deviation_of(values) == pytest.approx(expected)
