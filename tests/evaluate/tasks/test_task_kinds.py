"""What holds for every kind of task in the table: its page, and how it says its protocol."""

from pathlib import Path
from typing import Any

import pytest
from vtab_facts import finished

from openalign.evaluate.results import Results, as_record
from openalign.evaluate.tasks.contract import FinishedTask, with_noun
from openalign.evaluate.tasks.kinds import KINDS

DOCS = Path(__file__).parents[3] / "docs"

FACTS: dict[str, dict[str, Any]] = {
    "retrieval": {
        "split": "test",
        "num_images": 5000,
        "num_captions": 25_010,
        "gallery_splits": ["test", "val"],
        "num_gallery_images": 10_000,
        "num_gallery_captions": 50_000,
        "num_folds": 5,
        "num_fold_images": 1000,
    },
    "zero_shot": {
        "split": "val",
        "num_images": 50_000,
        "num_classes": 1000,
        "num_empty_classes": 0,
        "shared_names": [],
        "templates": ["a {}", "the {}"],
        "templates_from": "the known list `imagenet`",
        "num_prompts": 2000,
        "calibration": None,
    },
    "neighbors": {
        "split": "val",
        "train_split": "train",
        "num_images": 50_000,
        "num_train_images": 1_281_167,
        "num_classes": 1000,
        "num_without_class": 0,
    },
    "probe": {
        "split": "val",
        "train_split": "train",
        "num_images": 50_000,
        "num_train_images": 1_281_167,
        "num_classes": 1000,
        "num_unseen_classes": 0,
        "sweep": None,
        "descended": None,
    },
    "fine_tune": {
        "split": "test",
        "train_splits": ["train", "val"],
        "num_images": 6149,
        "num_train_images": 2040,
        "num_classes": 102,
        "num_unseen_classes": 0,
        "recipe": "fine_grained",
        "steps": [20_000, 20_000],
        "batch_size": 256,
        "train_px": [289, 289],
        "eval_px": [360, 360],
        "run_right": [6100, 6101, 6102],
    },
    "cxc": {
        "split": "test",
        "num_images": 5000,
        "num_captions": 25_000,
        "right_from_score": 3.0,
        "own_captions": False,
        "co_captions": True,
        "correlation_resamples": 1000,
        "directions": {},
        "correlations": {},
    },
    "composed": {
        "kinds": ["all"],
        "num_queries": 1200,
        "num_gallery_images": 3709,
        "image_weight": 1.0,
        "plus_weight": 2.0,
        "minus_weight": 0.5,
    },
    "cirr": {
        "split": "val",
        "num_queries": 4181,
        "num_gallery_images": 2297,
        "image_weight": 1.0,
        "text_weight": 2.0,
    },
    "fashion_iq": {
        "split": "val",
        "categories": {"dress": {"num_queries": 2017, "num_gallery_images": 3817}},
        "image_weight": 1.0,
        "text_weight": 2.0,
    },
    "word_similarity": {"num_words": 1028, "groups": ["all"]},
}
PROTOCOLS = {
    "retrieval": "Captions search the 5,000 images of split test, and images its 25,010 captions. "
    "Any own caption is a hit. folds: each query within one of 5 runs of images. gallery: over "
    "the 10,000 images of test, val.",
    "zero_shot": "The 50,000 images of split val go to the nearest of 1,000 classes; nothing is "
    "trained. A class is the mean of its prompts: 2 templates (the known list `imagenet`), with "
    "every name.",
    "neighbors": "An image of split val is a hit at K if one of its class is among the K nearest "
    "of the 1,281,167 images of split train. There is no vote.",
    "probe": "A linear classifier on embeddings that stay as they are, fitted by SGD, the paper's "
    "recipe, on 1,281,167 images of split train, and tested once on split val. Crops and "
    "resolutions are not those of the paper.",
    "fine_tune": "The head alone, then all layers, were trained on 2,040 images of train, val by "
    "SGD: 20,000 steps at 289 px and 20,000 steps at 289 px, 256 images a step. Tested on split "
    "test, at 360 and 360 px; the mean of 3 runs.",
    "cxc": "Crisscrossed Captions, split test: 5,000 images and 25,000 captions. A pair is right "
    "from a rating of 3 on. Spearman's correlation of ratings and cosines is the mean over 1,000 "
    "draws of half of the queries.",
    "composed": "1,200 queries of an image, plus words, minus words, weighted 1 : 2 : 0.5. The "
    "gallery holds the 3,709 images but the query's own.",
    "cirr": "CIRR, split val: 4,181 queries of an image and a text, weighted 1 : 2, over the 2,297 "
    "images but the query's own; in the subset, over the five others of its set.",
    "fashion_iq": "FashionIQ, split val: queries of an image and two captions joined by `and`, "
    "weighted 1 : 2, over the images of the category (dress 3,817), the query's own among them.",
    "word_similarity": "Spearman's correlation of people's ratings with the cosines of 1,028 words,"
    " each the text tower's state before the projection.",
    "vtab": "VTAB-1k's SVHN on frozen features: 2 trials on 800 images, judged by 200; the best is "
    "trained on all of them in 1 run and tested once on 1,000 images. The paper fine-tunes all "
    "layers. The splits are not of the published sizes.",
}


@pytest.mark.parametrize("name", list(KINDS))
def test_a_kind_has_a_page_that_shows_its_metrics(name: str) -> None:
    page = (DOCS / KINDS[name].page).read_text(encoding="utf-8")

    assert KINDS[name].page.startswith("tasks/")
    assert f"`{name}/" in page
    assert KINDS[name].hub_task


@pytest.mark.parametrize("name", list(KINDS))
def test_a_kind_says_its_protocol(name: str) -> None:
    if name == "vtab":
        (task,) = finished({"svhn": [0.5]})
    else:
        facts = as_record(FACTS[name], KINDS[name].facts, of=name)
        results = Results(metrics=(), tasks=(), settings={}, libraries={}, hashes={})
        task = FinishedTask(name="a", benchmark="a", facts=facts, results=results)

    assert KINDS[name].protocol(task) == PROTOCOLS[name]


def test_every_page_of_tasks_stands_in_the_index() -> None:
    index = (DOCS / "tasks.md").read_text(encoding="utf-8")

    for page in (DOCS / "tasks").glob("*.md"):
        assert f"](tasks/{page.name})" in index


def test_one_of_a_thing_is_not_said_in_the_plural() -> None:
    assert with_noun(0, "run") == "0 runs"
    assert with_noun(1, "run") == "1 run"
    assert with_noun(2, "run") == "2 runs"
    assert with_noun(1000, "run") == "1,000 runs"
