"""What is kept and shown of single classes."""

import numpy as np
import pytest
from embedded import ranked

from openalign.evaluate.datasets.dataset import ImageClass
from openalign.evaluate.drawing.metric_numbers import share_number
from openalign.evaluate.drawing.thumbnails import Thumbnail
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks.per_class import ClassScore, ConfusedPair
from openalign.evaluate.tasks.per_class_measures import (
    NUM_PAIRS,
    Outcome,
    class_scores,
    confused_pairs,
    titles_of,
)
from openalign.evaluate.tasks.per_class_section import (
    MOST_CLASSES,
    beside_most_frequent,
    class_table,
    show_pairs,
)

# Four images of class 0: one right, one taken for 1, two for 2. Two of class 2: both for 1.
OUTCOME = Outcome(
    name_Q=["a", "b", "c", "d", "e", "f"],
    label_Q=np.array([0, 0, 0, 0, 2, 2]),
    ranks=ranked([0, 1, 6, 4, 1, 1]),
    wrong_Q=np.array([1, 1, 2, 2, 1, 1]),
)
TITLES = ["cat", "dog", "fox"]


def test_classes_of_one_name_have_their_ids_behind_it() -> None:
    classes = [
        ImageClass(id=id_, names=names)
        for id_, names in (
            ("n1", ("crane", "bird")),
            ("n2", ("crane",)),
            ("n3", ("dog",)),
            ("n4", ()),
        )
    ]

    assert titles_of(classes) == ["crane (n1)", "crane (n2)", "dog", "n4"]


def test_a_class_has_its_shares_and_what_it_was_taken_for_most_often() -> None:
    assert class_scores(TITLES, OUTCOME) == [
        ClassScore(
            title="cat", num_images=4, hit_at_1=0.25, hit_at_5=0.75, taken_for="fox", num_taken=2
        ),
        ClassScore(
            title="fox", num_images=2, hit_at_1=0.0, hit_at_5=1.0, taken_for="dog", num_taken=2
        ),
    ]


def test_pairs_come_by_how_often_and_then_in_the_order_of_classes() -> None:
    pairs = confused_pairs(TITLES, OUTCOME)

    assert [(pair.title, pair.taken_for, pair.num_taken, pair.num_images) for pair in pairs] == [
        ("cat", "fox", 2, 4),
        ("fox", "dog", 2, 2),
        ("cat", "dog", 1, 4),
    ]
    assert pairs[0].image in "cd"
    assert pairs[0].other in "ef"
    assert (pairs[2].image, pairs[2].other) == ("b", "")


def test_a_miss_that_was_taken_for_nothing_is_in_no_pair() -> None:
    outcome = Outcome(
        name_Q=["a"], label_Q=np.array([0]), ranks=ranked([3]), wrong_Q=np.array([-1])
    )

    assert confused_pairs(TITLES, outcome) == []
    assert class_scores(TITLES, outcome)[0].taken_for == ""


def test_only_the_most_frequent_pairs_are_kept() -> None:
    number = NUM_PAIRS + 3
    outcome = Outcome(
        name_Q=[str(at) for at in range(number)],
        label_Q=np.arange(number),
        ranks=ranked([1] * number),
        wrong_Q=(np.arange(number) + 1) % number,
    )

    pairs = confused_pairs([f"class {at}" for at in range(number)], outcome)

    assert len(pairs) == NUM_PAIRS
    assert pairs[-1].title == f"class {NUM_PAIRS - 1}"


def test_a_table_has_the_worst_classes_first_and_says_how_many_there_are() -> None:
    scores = [
        ClassScore(title=f"class {at}", num_images=2, hit_at_1=1.0, hit_at_5=1.0)
        for at in range(MOST_CLASSES)
    ]
    bad = ClassScore(
        title="bad", num_images=1234, hit_at_1=0.125, hit_at_5=0.5, taken_for="b", num_taken=1200
    )

    table = class_table([*scores, bad])

    assert table.num_classes == MOST_CLASSES + 1
    assert len(table.rows) == MOST_CLASSES
    first = table.rows[0]
    assert (first.title, first.shares, first.taken_for) == ("bad", ["12.5", "50.0"], "b (1,200)")
    assert (table.rows[1].title, table.rows[1].taken_for) == ("class 0", "")


def test_a_pair_is_shown_with_an_image_of_either_class() -> None:
    tiles = Tiles("pets", {("pets", name): Thumbnail(caption=name, webp=b"") for name in "ab"})
    pair = ConfusedPair(
        title="cat", taken_for="fox", num_taken=1200, num_images=5000, image="a", other="b"
    )

    shown, alone = show_pairs(
        [
            pair,
            ConfusedPair(
                title="cat", taken_for="dog", num_taken=1, num_images=2, image="a", other=""
            ),
        ],
        tiles,
    )

    assert shown.image.caption == "cat"
    assert shown.other is not None
    assert shown.other.caption == "fox"
    assert shown.words == "cat, taken for fox: 1,200 of 5,000 images"
    assert alone.other is None


@pytest.mark.parametrize(
    ("sizes", "most_frequent"),
    [
        pytest.param([77, 13, 10], "77.0", id="one class has most images"),
        pytest.param([2, 2], "", id="as many in each: it is chance"),
        pytest.param([], "", id="nothing is known of the classes"),
    ],
)
def test_shares_of_first_places_have_the_most_frequent_class_beside_them(
    sizes: list[int], most_frequent: str
) -> None:
    classes = [
        ClassScore(title=str(at), num_images=size, hit_at_1=0.5, hit_at_5=1.0)
        for at, size in enumerate(sizes)
    ]
    number = share_number(Metric(name="m", value=0.8, low=0.7, high=0.9, n=4, chance=0.5))
    names = ["top_1", "top_5", "mean_per_class", "head_top_1", "recall_at_1", "recall_at_5"]

    found = beside_most_frequent(dict.fromkeys(names, number), classes)

    assert {name: each.most_frequent for name, each in found.items()} == {
        "top_1": most_frequent,
        "top_5": "",
        "mean_per_class": "",
        "head_top_1": most_frequent,
        "recall_at_1": most_frequent,
        "recall_at_5": "",
    }
