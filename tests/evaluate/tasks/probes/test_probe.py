"""A linear probe from its settings to the report."""

from dataclasses import replace
from pathlib import Path

import pytest
from embedded import image_called
from given import report_on, run_on
from labelled_squares import labelled_squares

from openalign.errors import InputError
from openalign.evaluate import results
from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.tasks.probes import probe
from openalign.evaluate.tasks.probes.probe import (
    Descended,
    Lbfgs,
    PenaltySweep,
    PenaltyTrial,
    ProbeFacts,
    ProbeTask,
    Sgd,
)
from openalign.evaluate.tasks.probes.probe_section import how_fitted, show_sweep
from openalign.files.facts import EvaluateFacts

PETS = Dataset(
    images=[
        image_called("a", split="test", label=0),
        image_called("b", split="val", label=0),
        image_called("c", split="train", label=0),
        image_called("d", split="train", label=1),
        image_called("e", split="extra"),
        image_called("f", split="single", label=1),
    ],
    classes=(ImageClass(id="n1"), ImageClass(id="n2")),
)


def task(split: str = "", train_split: str = "", validation_split: str = "") -> ProbeTask:
    method = Lbfgs(validation_split=validation_split)
    return ProbeTask(benchmark="pets", split=split, train_split=train_split, method=method)


def test_a_task_needs_its_splits_those_of_the_data_set_unless_they_are_named() -> None:
    assert probe.needs(task(), PETS).splits == {"test", "train"}
    assert probe.needs(task(validation_split="val"), PETS).splits == {"test", "train", "val"}
    assert probe.needs(replace(task("val"), method=Sgd()), PETS).splits == {"val", "train"}
    assert not probe.needs(task(), PETS).texts


@pytest.mark.parametrize(
    ("of", "dataset", "message"),
    [
        pytest.param(task("tset"), PETS, "no image is in split `tset`", id="split"),
        pytest.param(
            task(validation_split="vla"), PETS, "no image is in split `vla`", id="validation split"
        ),
        pytest.param(task("train"), PETS, "split `train` has two parts to play", id="twice"),
        pytest.param(
            task(validation_split="test"),
            PETS,
            "split `test` has two parts",
            id="chosen on test",
        ),
        pytest.param(task("extra"), PETS, "image e of split `extra` has no class", id="label"),
        pytest.param(
            task(train_split="single"),
            PETS,
            "split `single` has 1 image, a probe needs 2",
            id="one",
        ),
        pytest.param(task(), replace(PETS, classes=()), "its images have no classes", id="classes"),
        pytest.param(
            task(), replace(PETS, classes=PETS.classes[:1]), "a probe needs two classes", id="class"
        ),
    ],
)
def test_a_data_set_without_what_is_needed_is_refused(
    of: ProbeTask, dataset: Dataset, message: str
) -> None:
    with pytest.raises(InputError, match=f"benchmark `pets`: {message}"):
        probe.needs(of, dataset)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"held_out_share": 1.0}, "held_out_share must be below 1", id="share"),
        pytest.param({"held_out_share": 0.0}, "held_out_share must be above 0", id="no share"),
        pytest.param({"steps_per_decade": 6}, "must be a power of two, got 6", id="steps"),
        pytest.param(
            {"lowest_decade": 2, "highest_decade": 2}, "must be below highest_decade", id="decades"
        ),
        pytest.param({"max_iterations": 0}, "max_iterations must be above 0", id="iterations"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lbfgs(**settings)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "method", [Lbfgs(steps_per_decade=1), Sgd(epochs=3)], ids=["L-BFGS", "SGD"]
)
def test_the_stage_and_the_report(
    method: Lbfgs | Sgd,
    shared_benchmark: Path,
    model_folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_squares = ProbeTask(benchmark="squares", method=method)
    squares = labelled_squares(shared_benchmark)

    result = run_on(squares, on_squares, model=model_folder, root=tmp_path, monkeypatch=monkeypatch)
    html, markdown = report_on(tmp_path)

    found = results.read(f"{tmp_path}/evaluate/results.json")
    assert [(metric.name, metric.n) for metric in found.metrics] == [
        ("probe/squares/top_1", 4),
        ("probe/squares/mean_per_class", 4),
    ]
    assert found.settings["tasks"][0]["method"]["kind"] == method.kind
    assert isinstance(result.facts, EvaluateFacts)
    (line,) = result.facts.headline
    assert line.startswith("squares test, linear probe: top-1 ")
    assert "(chance 33.3; 4 images, 3 classes; " in line
    assert '<section id="probe">' in html
    # Two of the four images are warm: a card and a table say so, and the opening.
    assert html.count("most frequent class 50.0") == 2
    assert html.count("the most frequent class each time 50.0") == 1
    assert markdown.count("most frequent class 50.0") == 1
    assert "4 images of test, 4 training images, 3 classes" in html
    assert html.count('<article class="query asked">') == 4
    assert html.count('<circle class="chosen"') == (1 if method.kind == "lbfgs" else 0)
    assert html.count("class by class</summary>") == 1
    assert "<b>warm" not in html
    assert "## Linear probe" in markdown
    assert "| squares, test | 4 | 4 | 3 | " in markdown
    for table in markdown.split("\n\n"):
        rows = [row for row in table.splitlines() if row.startswith("|")]
        assert len({row.replace("\\|", "").count("|") for row in rows}) <= 1, table


SWEEP = PenaltySweep(
    held_out="split val",
    num_fitted=60,
    num_held_out=40,
    trials=tuple(
        PenaltyTrial(penalty=penalty, num_right=num_right, iterations=9, converged=True)
        for penalty, num_right in ((0.01, 20), (1.0, 31), (100.0, 8))
    ),
    penalty=1.0,
    iterations=1000,
    converged=False,
)
FACTS = ProbeFacts(
    split="test",
    train_split="train",
    num_images=1,
    num_train_images=100,
    num_classes=3,
    num_unseen_classes=0,
    sweep=SWEEP,
    descended=None,
)


def test_the_sweep_is_drawn_with_the_chosen_penalty_marked() -> None:
    shown = show_sweep(SWEEP)

    assert shown.words == (
        "3 penalties were tried on 60 images and judged by 40 (split val). "
        "The best was 1, with 77.5 percent right."
    )
    assert shown.chart.count("<circle") == 3
    assert shown.chart.count('class="chosen"') == 1
    assert "<title>penalty 100: 20.0 percent</title>" in shown.chart


def test_how_a_head_was_fitted_is_said_and_whether_it_was_stopped() -> None:
    descended = Descended(steps=1_234, batch_size=1024, learning_rate=0.1)

    assert how_fitted(FACTS) == "L-BFGS, penalty 1, 1,000 iterations, where it was stopped"
    by_sgd = FACTS.__class__(
        **{name: getattr(FACTS, name) for name in FACTS.__struct_fields__}
        | {"sweep": None, "descended": descended}
    )
    assert how_fitted(by_sgd) == "SGD, 1,234 steps of 1,024 images from a rate of 0.1"
