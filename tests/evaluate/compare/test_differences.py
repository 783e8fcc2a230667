"""Paired differences, worked out by hand and held against draws written out."""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Callable

import numpy as np
import pytest
from chosen_evaluations import PETS, SETTINGS, Run, number

from openalign.errors import ConfigError, InputError
from openalign.evaluate.compare.differences import compare, verdict_of
from openalign.evaluate.compare.pairing import why_not
from openalign.evaluate.compare.records import ComparedRun, Difference, DifferenceVerdict
from openalign.evaluate.metrics.bootstrap import (
    Bootstrap,
    Floats,
    Ints,
    interval_ends,
    resampled_class_means,
    resampled_means,
    resampled_medians,
)
from openalign.evaluate.metrics.resampled import Resampled
from openalign.evaluate.results import TaskResult

BASE = [0.1, 0.2, 0.3, 0.4, 0.5]


def compared(a: Run, b: Run, **options: object) -> ComparedRun:
    (run,) = compare(a.named("a"), [b.named("b")], **options).runs  # pyright: ignore[reportArgumentType]
    return run


def only(a: Resampled, b: Resampled) -> Difference:
    (found,) = compared(Run(numbers=[a]), Run(numbers=[b])).differences
    return found


def test_an_interval_is_that_of_the_differences_resample_by_resample() -> None:
    # Differences 0.1, 0.2, 0.3, 0.4, 0.5 in some order; their quartiles are 0.2 and 0.4. The two
    # intervals alone, 0.2 to 0.4 and 0.5 to 0.7, would not tell.
    found = only(number("x", 0.3, BASE), number("x", 0.6, [0.3, 0.3, 0.7, 0.9, 0.9]))

    assert (found.baseline, found.value) == (0.3, 0.6)
    assert (found.difference, found.low, found.high) == pytest.approx((0.3, 0.2, 0.4))
    assert (found.n, found.resamples, found.verdict) == (10, 5, DifferenceVerdict.BETTER)


@pytest.mark.parametrize(
    ("low", "high", "higher_is_better", "verdict"),
    [
        pytest.param(0.01, 0.2, True, DifferenceVerdict.BETTER, id="above zero"),
        pytest.param(-0.2, -0.01, True, DifferenceVerdict.WORSE, id="below zero"),
        pytest.param(-0.1, 0.1, True, DifferenceVerdict.NO_DIFFERENCE, id="on both sides"),
        pytest.param(0.0, 0.1, True, DifferenceVerdict.NO_DIFFERENCE, id="from zero"),
        pytest.param(-0.1, 0.0, True, DifferenceVerdict.NO_DIFFERENCE, id="to zero"),
        pytest.param(
            1e-17, 0.1, True, DifferenceVerdict.NO_DIFFERENCE, id="from a rounding above zero"
        ),
        pytest.param(
            -0.1, -1e-17, True, DifferenceVerdict.NO_DIFFERENCE, id="to a rounding below zero"
        ),
        pytest.param(1.0, 3.0, False, DifferenceVerdict.WORSE, id="a rank that rises"),
        pytest.param(-3.0, -1.0, False, DifferenceVerdict.BETTER, id="a rank that falls"),
        pytest.param(-3.0, 1.0, False, DifferenceVerdict.NO_DIFFERENCE, id="a rank, on both sides"),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side_of_zero(
    low: float, high: float, *, higher_is_better: bool, verdict: DifferenceVerdict
) -> None:
    assert verdict_of(low, high, higher_is_better=higher_is_better) is verdict


def test_equal_runs_differ_by_exactly_nothing() -> None:
    run = Run(numbers=[number("x", 0.3, BASE), number("y", 2.0, [1, 2, 2, 3, 9])])

    comparison = compare(run.named("a"), [run.named("b")])

    assert not comparison.is_worse
    for each in comparison.runs[0].differences:
        assert (each.difference, each.low, each.high) == (0.0, 0.0, 0.0)
        assert each.verdict is DifferenceVerdict.NO_DIFFERENCE


def test_one_metric_of_one_run_that_got_worse_is_enough() -> None:
    a = Run(numbers=[number("x", 0.5, BASE), number("y", 0.5, BASE)])
    same = Run(numbers=a.numbers)
    lower = Run(numbers=[number("x", 0.9, [0.9] * 5), number("y", 0.4, [0.0] * 5)])

    assert not compare(a.named("a"), [same.named("b")]).is_worse
    assert compare(a.named("a"), [same.named("b"), lower.named("c")]).is_worse
    assert not compare(a.named("a"), [lower.named("c")], patterns=["*/x"]).is_worse


# Against draws written out ------------------------------------------------------------------------

BOOTSTRAP = Bootstrap(resamples=200, confidence=0.9, seed=3)
NUM_GROUPS = 30


def models(seed: int) -> tuple[Ints, Floats, Floats]:
    """Return queries' groups, and what two models that agree on most of them score."""
    random = np.random.default_rng(seed)
    group_Q = np.repeat(np.arange(NUM_GROUPS), 4)
    a_Q = (random.random(len(group_Q)) < 0.5).astype(np.float64)
    b_Q = np.where(random.random(len(group_Q)) < 0.1, 1.0 - a_Q, a_Q)
    return group_Q, a_Q, b_Q


def written_out(statistic: Callable[[Ints], float], group_Q: Ints) -> Floats:
    """Return a statistic of the queries of drawn groups; it gets the queries' places."""
    random = np.random.Generator(np.random.PCG64(BOOTSTRAP.seed))
    num_groups = len(set(group_Q.tolist()))
    found: list[float] = []
    for _ in range(BOOTSTRAP.resamples):
        drawn = random.integers(num_groups, size=num_groups).tolist()
        places = [place for group in drawn for place in np.flatnonzero(group_Q == group)]
        found.append(statistic(np.array(places)))
    return np.array(found)


def lower_median(values: Floats) -> float:
    return float(sorted(values.tolist())[(len(values) - 1) // 2])


def class_mean(values: Floats, classes: Ints) -> float:
    return float(np.mean([values[classes == each].mean() for each in set(classes.tolist())]))


def test_the_resamples_of_both_models_are_of_the_same_groups() -> None:
    group_Q, a_Q, b_Q = models(0)
    rank_a, rank_b = a_Q * 7 + np.arange(len(a_Q)) % 5, b_Q * 7 + np.arange(len(a_Q)) % 5
    alone_Q, class_Q = np.arange(len(a_Q)), group_Q % 7

    means = resampled_means(np.stack([a_Q, b_Q], axis=1), group_Q, BOOTSTRAP)
    medians = [resampled_medians(each, group_Q, BOOTSTRAP) for each in (rank_a, rank_b)]
    by_class = [resampled_class_means(each, class_Q, BOOTSTRAP) for each in (a_Q, b_Q)]

    np.testing.assert_allclose(
        means[:, 1] - means[:, 0],
        written_out(lambda at: float((b_Q - a_Q)[at].mean()), group_Q),
        atol=1e-12,
    )
    np.testing.assert_array_equal(
        medians[1] - medians[0],
        written_out(lambda at: lower_median(rank_b[at]) - lower_median(rank_a[at]), group_Q),
    )
    np.testing.assert_allclose(
        by_class[1] - by_class[0],
        written_out(
            lambda at: class_mean(b_Q[at], class_Q[at]) - class_mean(a_Q[at], class_Q[at]), alone_Q
        ),
        atol=1e-12,
    )


def test_models_that_agree_have_a_narrower_interval_than_two_that_are_drawn_apart() -> None:
    group_Q, a_Q, b_Q = models(1)
    apart = Bootstrap(resamples=200, confidence=0.9, seed=4)
    a_R, b_R = (resampled_means(each[:, None], group_Q, BOOTSTRAP)[:, 0] for each in (a_Q, b_Q))
    b_apart_R = resampled_means(b_Q[:, None], group_Q, apart)[:, 0]

    low, high = interval_ends(b_R - a_R, 0.9)
    low_apart, high_apart = interval_ends(b_apart_R - a_R, 0.9)

    # A tenth of the answers differ: a variance of about 0.1 a query, against 2 * 0.25.
    assert high - low < 0.6 * (high_apart - low_apart)


# What may not be compared -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param({"numbers": []}, {}, "not measured in a", id="new"),
        pytest.param({}, {"numbers": []}, "not measured in b", id="gone"),
        pytest.param(
            {},
            {"hashes": {"dataset/pets": "e"}},
            "other data (pets)",
            id="another data set",
        ),
        pytest.param(
            {},
            {"settings": {"tasks": [{**SETTINGS["tasks"][0], "folds": 5}]}},
            "other settings (folds: null -> 5)",
            id="another task",
        ),
        pytest.param(
            {"inputs": {"tasks.retrieval/pets": "f"}},
            {"inputs": {"tasks.retrieval/pets": "g"}},
            "other queries or texts (retrieval/pets)",
            id="another file of queries",
        ),
        pytest.param({}, {"settings": {"seed": 1}}, "other draws (seed: 0 -> 1)", id="seed"),
        pytest.param(
            {},
            {"settings": {"fast": True}},
            "other draws (fast: False -> True)",
            id="a smoke run",
        ),
        pytest.param(
            {},
            {"settings": {"bootstrap_resamples": 6}},
            "other draws (bootstrap_resamples: 5 -> 6)",
            id="resamples",
        ),
        pytest.param(
            {},
            {"numbers": [number("x", 0.5, BASE, version=2)]},
            "another definition (version 1 -> 2)",
            id="version",
        ),
        pytest.param(
            {},
            {"numbers": [number("x", 0.5, BASE, n=11)]},
            "other queries (n: 10 -> 11)",
            id="queries",
        ),
        pytest.param(
            {"numbers": [number("x", 0.5)]},
            {"numbers": [number("x", 0.5)]},
            "its interval is not of resamples",
            id="no resamples",
        ),
        pytest.param(
            {"numbers": [number("x", 0.5, [0.1, 0.2, 0.3])]},
            {"numbers": [number("x", 0.5, [0.1, 0.2, 0.3])]},
            "too few resamples (3; 50 % needs 4)",
            id="three resamples",
        ),
        pytest.param(
            {"numbers": [number("x", 0.5, [0.1, 0.2, 0.3, 0.4])]},
            {"numbers": [number("x", 0.5, [0.1, 0.2, 0.3, 0.4])]},
            "",
            id="four resamples",
        ),
        pytest.param(
            {},
            {"hashes": {"weights": "v"}, "settings": {"batch_size": 2, "confidence": 0.9}},
            "",
            id="another model",
        ),
    ],
)
def test_only_the_same_queries_measured_and_drawn_alike_are_compared(
    a: dict[str, object], b: dict[str, object], expected: str
) -> None:
    whole = {"numbers": [number("x", 0.5, BASE)]}
    runs = [
        Run(**(whole | changes)).named(name)  # pyright: ignore[reportArgumentType]
        for name, changes in (("a", a), ("b", b))
    ]

    assert why_not("retrieval/pets/x", *runs, confidence=0.5) == expected


def test_a_mean_over_tasks_needs_the_same_tasks_in_both() -> None:
    def vtab(*tasks: str, folds: int = 1) -> Run:
        settings = [{"kind": "vtab", "benchmark": each, "folds": folds} for each in tasks]
        return Run(
            numbers=[
                number("x", 0.5, BASE),
                number("", 0.5, BASE, name="vtab/all/mean"),
            ],
            tasks=(
                PETS,
                *(TaskResult(name=t, kind="vtab", benchmark="pets", facts={}) for t in tasks),
            ),
            settings={"tasks": [SETTINGS["tasks"][0], *settings]},
        )

    def not_compared(a: Run, b: Run) -> list[str]:
        return [f"{each.metric}: {each.reason}" for each in compared(a, b).not_compared]

    assert not_compared(vtab("dtd", "pets"), vtab("dtd", "pets")) == []
    assert not_compared(vtab("dtd", "pets"), vtab("dtd")) == [
        "vtab/all/mean: other tasks (vtab/pets)"
    ]
    assert not_compared(vtab("dtd", "pets"), vtab("dtd", "pets", folds=2)) == [
        "vtab/all/mean: other settings (folds: 1 -> 2)"
    ]


def test_what_is_compared_and_what_is_not_add_up() -> None:
    a = Run(numbers=[number("x", 0.5, BASE), number("gone", 0.5, BASE)])
    b = Run(numbers=[number("x", 0.5, BASE), number("new", 0.5, BASE)])

    found = compared(a, b)

    assert [each.metric for each in found.differences] == ["retrieval/pets/x"]
    assert found.by_reason() == {
        "not measured in b": ["retrieval/pets/gone"],
        "not measured in a": ["retrieval/pets/new"],
    }


def test_nothing_to_compare_is_an_error_that_says_why() -> None:
    a, b = Run(numbers=[number("x", 0.5, BASE)]), Run(numbers=[number("y", 0.5, BASE)])

    with pytest.raises(InputError, match="nothing of b can be compared with a: not measured in b"):
        compared(a, b)


def test_metrics_are_chosen_by_patterns() -> None:
    names = ("i2t/recall_at_1", "t2i/recall_at_1", "t2i/recall_at_5")
    run = Run(numbers=[number(name, 0.5, BASE) for name in names])

    found = compared(run, run, patterns=["*/i2t/*", "*_at_5"])

    assert [each.metric for each in found.differences] == [
        "retrieval/pets/i2t/recall_at_1",
        "retrieval/pets/t2i/recall_at_5",
    ]
    with pytest.raises(ConfigError, match="--metrics recall: no metric is called so") as said:
        compared(run, run, patterns=["*", "recall"])
    assert "retrieval/pets/i2t/recall_at_1" in str(said.value.hint)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
def test_a_confidence_is_a_share(confidence: float) -> None:
    run = Run(numbers=[number("x", 0.5, BASE)])

    with pytest.raises(ConfigError, match="must be above 0 and below 1"):
        compared(run, run, confidence=confidence)


def test_a_confidence_that_is_given_counts_in_place_of_the_baselines() -> None:
    # Differences 0, 0.1, 0.2, 0.3, 0.4: the middle 60 % are 0.08 to 0.32, the middle half 0.1 to
    # 0.3.
    a, b = (
        Run(numbers=[number("x", 0.5, [0.0] * 5)]),
        Run(numbers=[number("x", 0.7, [0.0, 0.1, 0.2, 0.3, 0.4])]),
    )

    (given,) = compared(a, b, confidence=0.6).differences
    (own,) = compared(a, b).differences

    assert (given.low, given.high) == pytest.approx((0.08, 0.32))
    assert (own.low, own.high) == pytest.approx((0.1, 0.3))
