"""Zero-shot classification on a few images, whose embeddings are written down or drawn."""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from embedded import embedded_benchmark, image_called, random_rows

from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.metrics.bootstrap import Bootstrap, Ints
from openalign.evaluate.metrics.vectors import Vectors, unit_rows
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks.classification import zero_shot, zero_shot_measures
from openalign.evaluate.tasks.classification.zero_shot import PROMPTS, ZeroShotTask
from openalign.evaluate.tasks.classification.zero_shot_measures import classify
from openalign.evaluate.tasks.contract import Material, Measured, Sampling
from openalign.evaluate.tasks.per_class import ClassScore, ConfusedPair

SAMPLING = Sampling(bootstrap=Bootstrap(resamples=50, confidence=0.9, seed=0), num_examples=2)
TASK = ZeroShotTask(benchmark="pets", templates=("{}",))


def measured(
    labels: Sequence[int],
    image_rows: Sequence[Sequence[float]],
    names: Sequence[str],
    name_rows: Sequence[Sequence[float]],
    *,
    temperature: float | None = None,
) -> Measured[Any, Any]:
    """Measure images of a split with a prompt for each distinct name."""
    dataset = Dataset(
        images=[image_called(f"{at}.png", label=label) for at, label in enumerate(labels)],
        classes=tuple(ImageClass(id=f"n{at}", names=(name,)) for at, name in enumerate(names)),
    )
    material = Material(
        benchmark=embedded_benchmark(dataset, image_rows),
        texts={PROMPTS: unit_rows(np.array(name_rows, dtype=np.float64))},
        temperature=temperature,
    )
    return zero_shot.measure(TASK, material, SAMPLING)


def by_name(found: Measured[Any, Any]) -> dict[str, Metric]:
    return {metric.name.removeprefix("zero_shot/pets/"): metric for metric in found.metrics}


NAMES = ("cat", "dog", "fox")
NAME_ROWS = ((1, 0), (0, 1), (-1, 0))
# A cat and a cat among cats, a dog among cats, and a fox on the dog, as far from the cat as from
# the fox.
LABELS = (0, 1, 2, 0)
IMAGE_ROWS = ((1, 0.1), (1, 0.5), (0, 1), (1, 0))


def test_the_nearest_class_counts_and_classes_count_alike() -> None:
    found = by_name(measured(LABELS, IMAGE_ROWS, NAMES, NAME_ROWS))

    # Both cats of two are right, no dog of one, no fox of one.
    assert {name: metric.value for name, metric in found.items()} == {
        "top_1": 0.5,
        "mean_per_class": pytest.approx((1 + 0 + 0) / 3),
    }
    assert [metric.chance for metric in found.values()] == pytest.approx([1 / 3, 1 / 3])
    assert [metric.n for metric in found.values()] == [4, 4]
    assert all(metric.low <= metric.value <= metric.high for metric in found.values())
    assert all(metric.low < metric.high for metric in found.values())
    assert all(metric.ties_at_random is None for metric in found.values())


def test_what_is_kept_of_single_classes_and_images() -> None:
    found = measured(LABELS, IMAGE_ROWS, NAMES, NAME_ROWS)

    assert found.examples.classes == (
        ClassScore(title="cat", num_images=2, hit_at_1=1.0, hit_at_5=1.0),
        ClassScore(
            title="dog", num_images=1, hit_at_1=0.0, hit_at_5=1.0, taken_for="cat", num_taken=1
        ),
        ClassScore(
            title="fox", num_images=1, hit_at_1=0.0, hit_at_5=1.0, taken_for="dog", num_taken=1
        ),
    )
    dog, fox = found.examples.confused
    assert (dog.title, dog.taken_for, dog.image) == ("dog", "cat", "1.png")
    assert dog.other in ("0.png", "3.png")
    assert fox == ConfusedPair(
        title="fox", taken_for="dog", num_taken=1, num_images=1, image="2.png", other="1.png"
    )
    assert len(found.examples.images) == 2
    ranks = {"0.png": 1, "1.png": 2, "2.png": 3, "3.png": 1}
    for image in found.examples.images:
        assert image.rank == ranks[image.image]
        assert image.image in found.shown
    assert {dog.image, dog.other, fox.image, fox.other} <= found.shown


def test_classes_of_one_name_are_misses_and_half_of_them_is_to_be_expected() -> None:
    names = ("cat", "missile", "missile")

    found = measured((1, 2, 0, 0), ((0, 1), (0, 1), (1, 0), (1, 0)), names, ((1, 0), (0, 1)))

    metrics = by_name(found)
    assert (metrics["top_1"].value, metrics["top_1"].ties_at_random) == (0.5, 0.75)
    mean = metrics["mean_per_class"]
    assert (mean.value, mean.ties_at_random) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert found.facts.shared_names == ("missile",)
    assert found.facts.num_prompts == 2
    # People can tell them apart.
    assert [each.title for each in found.examples.classes] == [
        "cat",
        "missile (n1)",
        "missile (n2)",
    ]
    assert found.examples.classes[1].taken_for == "missile (n2)"


def test_a_class_without_an_image_is_no_part_of_the_mean_but_may_be_chosen() -> None:
    found = measured((0, 0), ((1, 0), (0, 1)), NAMES, NAME_ROWS)

    assert by_name(found)["mean_per_class"].value == 0.5
    assert found.facts.num_empty_classes == 2
    assert [each.title for each in found.examples.classes] == ["cat"]
    assert found.examples.confused[0].other == ""


def test_five_classes_have_no_top_five_and_six_do() -> None:
    five, six = np.eye(5).tolist(), np.eye(6).tolist()

    assert list(by_name(measured((0,), five[:1], "abcde", five))) == ["top_1", "mean_per_class"]
    found = by_name(measured((0, 1), [[0, 9, 8, 7, 6, 5], [9, 0, 8, 7, 6, 5]], "abcdef", six))
    # Image 0 has five classes before its own, and so has image 1.
    assert list(found) == ["top_1", "top_5", "mean_per_class"]
    assert (found["top_5"].value, found["top_5"].chance) == (0.0, pytest.approx(5 / 6))
    found = by_name(measured((0,), [[4, 9, 8, 7, 6, 0]], "abcdef", six))
    assert found["top_5"].value == 1.0


def test_a_collapsed_model_is_never_right_and_its_chance_is_to_be_expected() -> None:
    found = measured((0, 1, 2, 2), [[1, 0]] * 4, NAMES, [[1, 0]] * 3, temperature=0.01)

    top = by_name(found)["top_1"]
    assert (top.value, top.ties_at_random) == (0.0, pytest.approx(1 / 3))
    # All classes are as likely, and a third is right: nothing is wrong with the temperature.
    assert found.facts.calibration.error == pytest.approx(0.0, abs=1e-6)
    assert found.facts.calibration.confidence == pytest.approx(1 / 3)


def test_an_embedding_that_is_not_a_number_is_a_miss_whatever_the_order() -> None:
    images = np.array([[1, 0], [np.nan, np.nan], [1, 0]], dtype=np.float32)
    classes = np.array([[1, 0], [0, 1]], dtype=np.float32)

    found = classify(images, classes, np.array([0, 0, 1]), temperature=None)

    assert found.ranks.rank_Q.tolist() == [0, 1, 1]
    assert found.ranks.expected_hits((1,))[:, 0].tolist() == [1.0, 0.0, 0.0]
    broken = classify(
        images[[0]], np.full((2, 2), np.nan, np.float32), np.array([0]), temperature=None
    )
    assert broken.ranks.expected_hits((1,)).tolist() == [[0.0]]


def test_one_image_of_one_class_is_right_and_certain() -> None:
    found = measured((0,), ((0, 1),), ("cat",), ((1, 0),), temperature=0.01)

    top, mean = by_name(found).values()
    assert (top.value, top.chance, mean.value) == (1.0, 1.0, 1.0)
    assert found.facts.calibration.confidence == 1.0
    assert found.examples.confused == ()


@pytest.mark.parametrize("at_once", [1, 64, 1 << 24], ids=["row by row", "some rows", "whole"])
def test_ranks_and_confidence_equal_the_slow_ones_whatever_the_blocks(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zero_shot_measures, "_LOOKED_AT_ONCE", at_once)
    image_QD, class_CD = (unit_rows(np.array(random_rows(n, 8, seed=n))) for n in (40, 12))
    class_CD[5] = class_CD[7]  # a tie for all images
    label_Q = np.arange(40) % 12

    found = classify(image_QD, class_CD, label_Q, temperature=0.1)

    above, tied, wrong, confidence = slow_ranks(image_QD, class_CD, label_Q, temperature=0.1)
    assert found.ranks.above_Q.tolist() == above
    assert found.ranks.tied_Q.tolist() == tied
    assert found.wrong_Q.tolist() == wrong
    np.testing.assert_allclose(found.confidence_Q, confidence, rtol=1e-5)


def slow_ranks(
    image_QD: Vectors, class_CD: Vectors, labels: Ints, *, temperature: float
) -> tuple[list[int], list[int], list[int], list[float]]:
    """Count, one image at a time, what the definition says."""
    above: list[int] = []
    tied: list[int] = []
    wrong: list[int] = []
    confidence: list[float] = []
    for image, label in zip(image_QD.astype(float), labels, strict=True):
        scores = [float(image @ each) for each in class_CD.astype(float)]
        others = [(score, at) for at, score in enumerate(scores) if at != label]
        above.append(sum(score > scores[label] + 1e-6 for score, _ in others))
        tied.append(sum(abs(score - scores[label]) <= 1e-6 for score, _ in others))
        highest = max(score for score, _ in others)
        wrong.append(next(at for score, at in others if score > highest - 1e-7))
        logits = torch.tensor(scores, dtype=torch.float64) / temperature
        confidence.append(float(logits.softmax(0).max()))
    return above, tied, wrong, confidence


def test_calibration_is_the_distance_of_confidence_and_accuracy_bin_by_bin() -> None:
    # Cosines of 1 and 0 with two classes; at a temperature of 1 / ln 3 the nearest class has the
    # probability 3/4. Three of four images are on their own class, so nothing is off.
    def facts(labels: Sequence[int], temperature: float | None) -> Any:
        rows = ((1, 0), (1, 0), (0, 1), (0, 1))
        found = measured(labels, rows, ("cat", "dog"), ((1, 0), (0, 1)), temperature=temperature)
        return found.facts.calibration

    quarter = 1 / np.log(3)
    good = facts((0, 0, 1, 0), quarter)
    assert good.error == pytest.approx(0.0, abs=1e-6)
    (all_of_them,) = good.bins
    assert (all_of_them.num_images, all_of_them.accuracy) == (4, 0.75)
    assert all_of_them.confidence == pytest.approx(0.75)
    # None is right: the error is the whole confidence.
    assert facts((1, 1, 0, 0), quarter).error == pytest.approx(0.75)
    assert facts((0, 0, 1, 0), None) is None


def test_images_of_unlike_confidence_do_not_make_up_for_each_other() -> None:
    # At a temperature of 1 / ln 3: image 0 is as near to both classes (1/2, and a tie), image 1 is
    # on its class (3/4), image 2 on the wrong one (3/4).
    found = measured(
        (0, 0, 1),
        ((1, 1), (1, 0), (1, 0)),
        ("cat", "dog"),
        ((1, 0), (0, 1)),
        temperature=1 / np.log(3),
    ).facts.calibration

    low, high = found.bins
    assert (low.num_images, low.accuracy) == (1, 0.5)  # one of two that tie
    assert low.confidence == pytest.approx(0.5)
    assert (high.num_images, high.accuracy) == (2, 0.5)
    assert found.error == pytest.approx((1 * 0.0 + 2 * 0.25) / 3, abs=1e-6)


class Texts:
    """What stands for token ids: the texts themselves."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    def to(self, _: str) -> "Texts":
        return self


class LookedUp:
    """A model that looks up what is to be encoded."""

    def __init__(self, rows: Mapping[str, npt.NDArray[np.float64]]) -> None:
        self.rows = rows

    def encode_text(self, texts: Texts) -> torch.Tensor:
        return torch.tensor(np.array([self.rows[text] for text in texts.texts]))

    def encode_image(self, rows: torch.Tensor) -> torch.Tensor:
        return rows


def test_clip_benchmark_finds_the_same_without_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    from clip_benchmark.metrics import zeroshot_classification as oracle
    from sklearn.metrics import balanced_accuracy_score

    # Theirs makes a number of an array of one, which NumPy refuses since 2.4.
    monkeypatch.setattr(oracle, "float", lambda array: array.item(), raising=False)
    names, templates = [f"class {at}" for at in range(9)], ("a {}", "the {}.", "my {}")
    label = np.random.default_rng(4).integers(0, 9, 200)
    noise, centers = (np.array(random_rows(n, 16, seed=n)) for n in (200, 9))
    images = 1.5 * noise + centers[label]
    classes = tuple(ImageClass(id=name, names=(name,)) for name in names)
    prompts = {
        template.format(name): row
        for name, center in zip(names, centers, strict=True)
        for template, row in zip(
            templates, center + np.array(random_rows(3, 16, seed=len(name))), strict=True
        )
    }

    theirs = oracle.zero_shot_classifier(
        LookedUp(prompts),
        Texts,
        names,
        [t.replace("{}", "{c}") for t in templates],
        "cpu",
        amp=False,
    )
    batches = [
        (torch.tensor(images[at : at + 50]), torch.tensor(label[at : at + 50]))
        for at in range(0, 200, 50)
    ]
    logits, target = oracle.run_classification(LookedUp(prompts), theirs, batches, "cpu", amp=False)
    top_1, top_5 = oracle.accuracy(logits, target, topk=(1, 5))
    dataset = Dataset(
        images=[image_called(f"{at}.png", label=int(of)) for at, of in enumerate(label)],
        classes=classes,
    )
    task = ZeroShotTask(benchmark="pets", templates=templates)
    needed = zero_shot.needs(task, dataset).texts[PROMPTS]
    material = Material(
        benchmark=embedded_benchmark(dataset, images.tolist()),
        texts={PROMPTS: unit_rows(np.array([prompts[text] for text in needed]))},
    )

    found = by_name(zero_shot.measure(task, material, SAMPLING))

    assert 0.2 < top_1 < top_5 < 1.0
    assert found["top_1"].value == pytest.approx(top_1)
    assert found["top_5"].value == pytest.approx(top_5)
    assert found["mean_per_class"].value == pytest.approx(
        balanced_accuracy_score(target, np.argmax(np.asarray(logits), axis=1))
    )
