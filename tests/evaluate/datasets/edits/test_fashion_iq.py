import json
from pathlib import Path
from typing import Any

import pytest
from dataset_identity import identity_of
from miniature_images import write_images

from openalign.errors import InputError
from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset, EditQuery
from openalign.evaluate.datasets.edits.fashion_iq import KIND, FashionIqDataset

SPLITS = {"dress": ["D1", "D2"], "shirt": ["S1", "X1"], "toptee": ["X1", "T1", "T2"]}
QUERIES: dict[str, list[dict[str, Any]]] = {
    "dress": [{"target": "D2", "candidate": "D1", "captions": ["is shiny", " fit and flare"]}],
    "shirt": [{"target": "X1", "candidate": "S1", "captions": ["is white", "is lighter"]}],
    "toptee": [
        {"target": "X1", "candidate": "T1", "captions": ["has no sleeves", ""]},
        {"candidate": "T2", "captions": ["is the same", "appears to be exactly the same"]},
    ],
}


def write(folder: Path, *, split: str = "val", **changes: Any) -> None:
    """Write the files of a split; a change is that of a category's queries or images."""
    for category in ("dress", "shirt", "toptee"):
        for name, content in (
            (f"captions/cap.{category}.{split}", QUERIES[category]),
            (f"image_splits/split.{category}.{split}", SPLITS[category]),
        ):
            file = folder / f"{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            key = f"{category}_{'queries' if 'cap.' in name else 'images'}"
            file.write_text(json.dumps(changes.get(key, content)))


def read(path: Path, **settings: Any) -> ComposedDataset:
    dataset = KIND.read(FashionIqDataset(path=str(path), **settings))
    assert isinstance(dataset, ComposedDataset)
    return dataset


def test_queries_name_images_by_their_places(tmp_path: Path) -> None:
    write(tmp_path)
    write_images(tmp_path / "images", "D1.png", "D2.jpg", "S1.JPG", "toptee/T1.jpg", "other.txt")

    dataset = read(tmp_path)

    assert [image.name for image in dataset.images] == [
        "D1.png",
        "D2.jpg",
        "S1.JPG",
        "X1.jpg",  # is not there: an error will name this file
        "toptee/T1.jpg",
        "T2.jpg",
    ]
    assert dataset.queries == [
        EditQuery(
            id="dress-0",
            reference=0,
            target=1,
            captions=("is shiny", "fit and flare"),
            category="dress",
        ),
        EditQuery(
            id="shirt-0",
            reference=2,
            target=3,
            captions=("is white", "is lighter"),
            category="shirt",
        ),
        EditQuery(
            id="toptee-0", reference=4, target=3, captions=("has no sleeves",), category="toptee"
        ),
        EditQuery(
            id="toptee-1",
            reference=5,
            target=None,
            captions=("is the same", "appears to be exactly the same"),
            category="toptee",
        ),
    ]


def test_an_image_of_two_categories_is_one_image_of_two_galleries(tmp_path: Path) -> None:
    write(tmp_path)

    dataset = read(tmp_path)

    assert dataset.galleries == {"dress": (0, 1), "shirt": (2, 3), "toptee": (3, 4, 5)}
    assert dataset.splits == ("val",)


def test_a_blank_caption_is_left_out_and_told(tmp_path: Path) -> None:
    write(tmp_path)

    (note,) = read(tmp_path).notes

    assert note == (
        f"{tmp_path}/captions/cap.toptee.val.json: blank captions, left out: 1 (query 0)"
    )


def test_another_split_is_other_files(tmp_path: Path) -> None:
    write(tmp_path, split="test")

    assert read(tmp_path, split="test").test_split == "test"
    with pytest.raises(InputError, match=r"split\.dress\.val\.json cannot be read"):
        read(tmp_path)


def test_images_may_lie_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "fashion-iq")
    write_images(tmp_path / "photos", "D1.png")

    dataset = read(tmp_path / "fashion-iq", images=f"{tmp_path}/photos")

    assert dataset.images[0].place.file == f"{tmp_path}/photos/D1.png"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"shirt_queries": [{"target": "D1", "candidate": "S1", "captions": ["a"]}]},
            "cap.shirt.val.json: query 0: D1 is not among the images of the category",
            id="another category's",
        ),
        pytest.param({"shirt_queries": []}, "cap.shirt.val.json: has no queries", id="no queries"),
        pytest.param({"shirt_images": []}, "split.shirt.val.json: has no images", id="no images"),
        pytest.param(
            {"shirt_images": ["S1", "X1", "S1"]}, "image 2: S1 is image 0 too", id="twice"
        ),
        pytest.param({"shirt_images": ["../S1", "X1"]}, "image 0 must stay inside", id="outside"),
        pytest.param(
            {"dress_queries": [{"target": "D2", "candidate": "D1", "captions": ["", " "]}]},
            "cap.dress.val.json: query 0 has no caption that is not blank",
            id="blank",
        ),
        pytest.param(
            {"dress_queries": [{"target": "D2", "candidate": "D1", "captions": []}]},
            r"entry 0: Expected `array` of length >= 1 - at `\$\[0\]\.captions`",
            id="no captions",
        ),
        pytest.param(
            {"dress_queries": [{"target": "D2", "captions": ["a"]}]},
            "entry 0: Object missing required field `candidate`",
            id="no candidate",
        ),
    ],
)
def test_an_error_names_file_and_entry(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write(tmp_path, **changes)

    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_its_folder_is_recognized(tmp_path: Path) -> None:
    write(tmp_path)

    assert KIND.recognize("fashion_iq", str(tmp_path)) == FashionIqDataset(path=str(tmp_path))
    assert KIND.recognize("fashion_iq", f"{tmp_path}/captions") is None


def test_its_fingerprint_is_that_of_what_it_holds(tmp_path: Path) -> None:
    for name, num_queries in (("a", 2), ("b", 2), ("c", 1)):
        write(tmp_path / name, toptee_queries=QUERIES["toptee"][:num_queries])
        write_images(
            tmp_path / name / "images", *(f"{n}.jpg" for n in ("D1", "D2", "S1", "X1", "T1", "T2"))
        )

    a, b, c = (identity_of(KIND, FashionIqDataset(path=f"{tmp_path}/{name}")) for name in "abc")

    assert a == b
    assert a != c
