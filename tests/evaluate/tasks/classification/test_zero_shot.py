"""Zero-shot classification from its settings to the report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from embedded import image_called
from given import report_on, run_on
from labelled_squares import labelled_squares

from openalign.errors import InputError
from openalign.evaluate import results
from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.drawing.thumbnails import Thumbnail
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.embedding.encoder import Encoder
from openalign.evaluate.results import as_record
from openalign.evaluate.tasks.classification import zero_shot
from openalign.evaluate.tasks.classification.zero_shot import (
    PROMPTS,
    Calibration,
    ZeroShotFacts,
    ZeroShotTask,
)
from openalign.evaluate.tasks.classification.zero_shot_section import show_calibration
from openalign.evaluate.tasks.per_class import ClassifiedImage
from openalign.evaluate.tasks.per_class_section import show_image
from openalign.files.facts import EvaluateFacts

TASK = ZeroShotTask(benchmark="squares", templates=("a {} & square", "{}"))
PETS = Dataset(
    images=[
        image_called("a", split="test", label=0),
        image_called("b", split="val", label=1),
        image_called("c", split="train"),
    ],
    classes=(ImageClass(id="n1", names=("cat",)), ImageClass(id="n2", names=("dog", "puppy"))),
)


def task(split: str = "") -> ZeroShotTask:
    return ZeroShotTask(benchmark="pets", split=split, templates=("the {}",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"templates": ""}, "templates must not be empty", id="no templates"),
        pytest.param({"templates": ()}, "templates must not be empty", id="empty list"),
        pytest.param({"name": "A b"}, "name must be lower-case", id="name"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ZeroShotTask(benchmark="pets", **settings)


def test_a_task_needs_its_split_and_a_prompt_for_each_name_and_template() -> None:
    found = zero_shot.needs(task("val"), PETS)

    assert found.splits == {"val"}
    assert not found.captions
    assert found.texts == {PROMPTS: ["the cat", "the dog", "the puppy"]}


def test_the_split_is_the_data_sets_test_split_unless_it_is_named() -> None:
    assert zero_shot.needs(task(), PETS).splits == {"test"}
    assert zero_shot.needs(task(), replace(PETS, test_split="val")).splits == {"val"}
    assert zero_shot.needs(task("test"), replace(PETS, test_split="val")).splits == {"test"}


@pytest.mark.parametrize(
    ("split", "dataset", "message"),
    [
        pytest.param("tset", PETS, "`pets`: no image is in split `tset`", id="split"),
        pytest.param("train", PETS, "image c of split `train` has no class", id="label"),
        pytest.param("test", replace(PETS, classes=()), "its images have no classes", id="classes"),
        pytest.param(
            "test",
            replace(PETS, classes=(ImageClass(id="n1"), PETS.classes[1])),
            "class `n1` has no name",
            id="name",
        ),
    ],
)
def test_a_data_set_that_cannot_be_classified_is_refused(
    split: str, dataset: Dataset, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        zero_shot.needs(task(split), dataset)


def test_the_stage_classifies_by_prompts_and_says_by_which(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squares = labelled_squares(shared_benchmark)

    result = run_on(squares, TASK, model=model_folder, root=tmp_path, monkeypatch=monkeypatch)

    assert result.num_outputs == 4
    assert [file.name for file in result.files if file.name.endswith(".npy")] == [
        "embeddings/squares-images.npy",
        "embeddings/zero_shot-squares-prompts.npy",
    ]
    found = results.read(f"{tmp_path}/evaluate/results.json")
    assert [metric.name for metric in found.metrics] == [
        "zero_shot/squares/top_1",
        "zero_shot/squares/mean_per_class",
    ]
    facts = as_record(found.tasks[0].facts, ZeroShotFacts, of="facts")
    assert (facts.split, facts.num_images, facts.num_classes) == ("test", 4, 3)
    assert (facts.num_empty_classes, facts.num_prompts) == (0, 8)
    assert (facts.templates, facts.templates_from) == (TASK.templates, "the settings")
    assert facts.calibration is not None
    assert facts.calibration.temperature == Encoder.load(model_folder).temperature
    assert isinstance(result.facts, EvaluateFacts)
    (line,) = result.facts.headline
    top = f"{100 * found.metric('zero_shot/squares/top_1').value:.1f}"
    assert line == (
        f"squares test, zero-shot: top-1 {top} (chance 33.3; 4 images, 3 classes, 2 templates)"
    )


def test_the_report_shows_numbers_prompts_images_and_classes(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squares = labelled_squares(shared_benchmark)
    run_on(squares, TASK, model=model_folder, root=tmp_path, monkeypatch=monkeypatch)

    html, markdown = report_on(tmp_path)

    assert '<section id="zero-shot">' in html
    # Two of the four images are warm: a card and a table say so, and the opening.
    assert html.count("most frequent class 50.0") == 2
    assert html.count("the most frequent class each time 50.0") == 1
    assert markdown.count("most frequent class 50.0") == 1
    assert "one of 3 classes by its name alone" in html
    assert "such as <q>a {} &amp; square</q>" in html
    assert "Confidence" in html
    assert "the model is" in html
    assert html.count("class by class</summary>") == 1
    assert "a &lt;b&gt;warm&lt;/b&gt; color" in html
    assert "<b>warm" not in html
    # Four images were drawn, and all are shown; the rest are those of confused pairs.
    assert html.count('<article class="query asked">') == 4
    assert "## Zero-shot classification" in markdown
    assert r"a &lt;b&gt;warm&lt;/b&gt; color" in markdown
    assert "| squares, test | 4 | 3 | 2 |" in markdown
    for table in markdown.split("\n\n"):
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in rows}) <= 1, table


def test_an_image_is_shown_with_the_classes_that_came_first() -> None:
    tiles = Tiles("pets", {("pets", "a.png"): Thumbnail(caption="a.png", webp=b"")})
    image = ClassifiedImage(image="a.png", title="cat", rank=2, first=("dog", "cat"))

    shown = show_image(image, tiles, 1000)
    lost = show_image(
        ClassifiedImage(image="a.png", title="cat", rank=1234, first=("dog",)), tiles, 5000
    )

    assert shown.captions == [("dog", False), ("cat", True)]
    assert (shown.place, shown.is_first, shown.is_found) == (
        "right class at place 2 of 1,000",
        False,
        True,
    )
    assert shown.start is not None
    assert shown.start.caption == "cat"
    assert (lost.place, tuple(lost.answers)) == ("right class at place 1,234 of 5,000", ("cat",))


@pytest.mark.parametrize(
    ("confidence", "verdict"),
    [pytest.param(0.75, "too sure", id="above"), pytest.param(0.25, "not sure enough", id="below")],
)
def test_a_calibration_is_said_in_words(confidence: float, verdict: str) -> None:
    calibration = Calibration(
        temperature=0.015625, error=0.25, confidence=confidence, accuracy=0.5, bins=()
    )

    words = show_calibration(calibration).words

    assert "temperature of 0.01562 " in words
    assert f"the model is {verdict}. The expected calibration error is 25.0 points." in words
