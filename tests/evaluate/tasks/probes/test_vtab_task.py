"""A VTAB task from its settings to the report."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from embedded import image_called
from given import report_on, run_on
from labelled_squares import labelled_squares
from vtab_facts import ALL, facts_of, finished, means

from openalign.errors import InputError
from openalign.evaluate import results
from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.tasks.probes import vtab
from openalign.evaluate.tasks.probes.vtab import VtabExamples, VtabProbeTask, called
from openalign.evaluate.tasks.probes.vtab_section import section, sweep_in_words
from openalign.files.facts import EvaluateFacts
from openalign.train.sweep import bit
from openalign.train.sweep.ranges import Choice

KITTI = Dataset(
    images=[
        image_called(f"{split}-{label}", split=split, label=label)
        for split in ("train800", "val200", "test")
        for label in range(4)
    ],
    classes=tuple(ImageClass(id=str(number)) for number in range(4)),
)
TASK = VtabProbeTask(benchmark="vtab_kitti_distance")
NO_TILES = Tiles("x", {})
NO_EXAMPLES = VtabExamples(confused=())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({"benchmark": "vtab_dtd"}, "dtd", id="the benchmark's name"),
        pytest.param({"benchmark": "dtd"}, "dtd", id="without what stands before it"),
        pytest.param({"benchmark": "mine", "task": "svhn"}, "svhn", id="named"),
    ],
)
def test_which_task_it_is(settings: dict[str, str], expected: str) -> None:
    assert called(VtabProbeTask(**settings)) == expected  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"benchmark": "mine"}, "got 'mine', the benchmark's name", id="no task"),
        pytest.param({"benchmark": "dtd", "task": "textures"}, "got 'textures'$", id="unknown"),
        pytest.param({"benchmark": "dtd", "name": "all"}, "name must not be `all`", id="all"),
        pytest.param({"benchmark": "dtd", "trials": 0}, "trials must be above 0", id="trials"),
        pytest.param({"benchmark": "dtd", "runs": 0}, "runs must be above 0", id="runs"),
        pytest.param({"benchmark": "dtd", "num_processes": -1}, "num_processes", id="processes"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VtabProbeTask(**settings)  # pyright: ignore[reportArgumentType]


def test_a_task_needs_the_parts_and_not_their_union() -> None:
    assert vtab.needs(TASK, KITTI).splits == {"train800", "val200", "test"}


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        pytest.param(
            replace(KITTI, images=KITTI.images[4:]), "no image is in split `train800`", id="split"
        ),
        pytest.param(
            replace(KITTI, classes=KITTI.classes[:3]),
            "has 3 classes, VTAB's KITTI-Dist has 4",
            id="classes",
        ),
        pytest.param(replace(KITTI, classes=()), "its images have no classes", id="no classes"),
    ],
)
def test_a_data_set_that_is_not_the_task_is_refused(dataset: Dataset, message: str) -> None:
    with pytest.raises(InputError, match=f"benchmark `vtab_kitti_distance`: {message}"):
        vtab.needs(TASK, dataset)


def test_the_stage_and_the_report(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bit.FROZEN_RANGES, bit.UPDATES, Choice((5, 10)))
    squares = labelled_squares(shared_benchmark)
    parts = ("train800", "train800", "train800", "val200", "val200", "test", "test", "test")
    images = [replace(i, split=s) for i, s in zip(squares.images, parts, strict=True)]
    dataset = Dataset(
        images=images, classes=(*squares.classes, ImageClass(id="a <b>fourth</b> one"))
    )
    task = VtabProbeTask(
        benchmark="squares", task="kitti_distance", trials=2, runs=2, num_processes=1
    )

    result = run_on(dataset, task, model=model_folder, root=tmp_path, monkeypatch=monkeypatch)
    html, markdown = report_on(tmp_path)

    found = results.read(f"{tmp_path}/evaluate/results.json")
    assert [(metric.name, metric.n) for metric in found.metrics] == [
        ("vtab/squares/top_1", 3),
        ("vtab/squares/std_over_runs", 2),
    ]
    assert "num_processes" not in found.settings["tasks"][0]
    assert isinstance(result.facts, EvaluateFacts)
    (line,) = result.facts.headline
    assert line.startswith("squares, VTAB's KITTI-Dist, frozen features: top-1 ")
    assert line.endswith(" over 2 runs (chance 25.0; 3 images)")
    assert '<section id="vtab">' in html
    assert "no mean; 1 of 19 tasks measured; missing: Caltech101" in html
    assert "no mean; 0 of 7 tasks measured" in html
    assert html.count('<circle class="chosen"') == 1
    assert "These are not the published sizes: 3 images to learn from" in html
    assert "1 of 4 classes have no image" in html
    assert "<b>fourth" not in html
    assert "## VTAB-1k, frozen features" in markdown
    assert "| structured | KITTI-Dist (squares) | **" in markdown
    for table in markdown.split("\n\n"):
        rows = [row for row in table.splitlines() if row.startswith("|")]
        assert len({row.replace("\\|", "").count("|") for row in rows}) <= 1, table


def test_the_page_opens_with_the_means_of_a_whole_vtab_once() -> None:
    tasks = finished({name: [0.5, 0.6] for name in ALL})
    summed = msgspec.structs.replace(
        tasks[0].results, metrics=(*tasks[0].results.metrics, *means(tasks))
    )

    sections = [section(replace(task, results=summed), NO_EXAMPLES, NO_TILES) for task in tasks]

    assert [words for words, _ in sections[0].opening] == [
        "VTAB-1k, all 19",
        "VTAB-1k, natural",
        "VTAB-1k, specialized",
        "VTAB-1k, structured",
    ]
    assert not any(each.opening for each in sections[1:])
    assert {each.number.text for each in sections[0].means if each.number} == {"55.0"}
    assert {each.deviation for each in sections[0].means} == {"7.1"}
    assert [each.order for each in sections] == list(range(19))


def test_a_sweep_is_told_by_its_best_trial() -> None:
    assert sweep_in_words(facts_of("dtd", [0.5])) == (
        "2 trials on 800 images, judged by 200. The best had 75.0 percent right: "
        "learning rate 0.1, 16,000 updates, dropout 0.25, decay 0.012."
    )
