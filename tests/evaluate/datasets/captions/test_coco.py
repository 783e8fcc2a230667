import json
from pathlib import Path
from typing import Any

import pytest
from dataset_identity import identity_of
from miniature_images import write_images

from openalign.errors import InputError
from openalign.evaluate.datasets.captions.coco import KIND, CocoDataset
from openalign.evaluate.datasets.dataset import Dataset

IMAGES = [
    {"license": 5, "file_name": "COCO_val2014_000000000042.jpg", "width": 640, "id": 42},
    {"license": 3, "file_name": "COCO_val2014_000000000009.jpg", "width": 480, "id": 9},
]
ANNOTATIONS = [
    {"image_id": 9, "id": 661, "caption": "A plate of food.\n"},
    {"image_id": 42, "id": 38, "caption": "A shoe"},
    {"image_id": 9, "id": 12, "caption": "Food, on a plate"},
    *({"image_id": 42, "id": 100 + n, "caption": f"caption {n}"} for n in range(6)),
]


def written(folder: Path, name: str = "captions_val2014.json", **changes: Any) -> str:
    content = {"info": {}, "images": IMAGES, "licenses": [], "annotations": ANNOTATIONS} | changes
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return f"{folder}/{name}"


def read(path: str, **settings: Any) -> Dataset:
    return KIND.read(CocoDataset(path=path, **settings))


def test_images_and_captions_come_in_the_files_order(tmp_path: Path) -> None:
    dataset = read(written(tmp_path))

    assert [image.name for image in dataset.images] == [image["file_name"] for image in IMAGES]
    shoe, food = dataset.images
    assert shoe.captions == ("A shoe", "caption 0", "caption 1", "caption 2", "caption 3")
    assert shoe.caption_ids == ("38", "100", "101", "102", "103")
    assert food.captions == ("A plate of food.", "Food, on a plate")
    assert food.caption_ids == ("661", "12")


@pytest.mark.parametrize(
    ("name", "split", "expected"),
    [
        ("captions_val2014.json", "", "val"),
        ("coco_test_karpathy.json", "", "test"),
        ("mine.json", "", "test"),
        ("captions_val2014.json", "minival", "minival"),
    ],
)
def test_the_split_is_that_of_the_files_name(
    tmp_path: Path, name: str, split: str, expected: str
) -> None:
    dataset = read(written(tmp_path, name), split=split)

    assert dataset.splits == (expected,)
    assert dataset.test_split == expected


@pytest.mark.parametrize(
    "place", ["annotations", "val2014", "images/val2014", "annotations/images"]
)
def test_images_are_found_where_the_archives_unpack(tmp_path: Path, place: str) -> None:
    path = written(tmp_path / "annotations")
    write_images(tmp_path / place, *(str(image["file_name"]) for image in IMAGES))

    assert KIND.image_folder(CocoDataset(path=path)) == f"{tmp_path}/{place}"
    assert read(path).images[1].place.read()[:2] == b"\xff\xd8"


def test_its_captions_are_those_of_cocos_own_library(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="needs pycocotools")
    path = written(tmp_path)

    theirs = coco.COCO(path)

    for image in read(path, max_captions="all").images:
        (number,) = [n for n, each in theirs.imgs.items() if each["file_name"] == image.name]
        captions = theirs.imgToAnns[number]
        assert image.captions == tuple(each["caption"].strip() for each in captions)
        assert image.caption_ids == tuple(str(each["id"]) for each in captions)
    assert len(theirs.imgs) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"images": []}, r"length >= 1 - at `\$\.images`", id="no images"),
        pytest.param(
            {"annotations": []}, "COCO_val2014_000000000042.jpg has no caption", id="none"
        ),
        pytest.param(
            {"images": [*IMAGES, IMAGES[0]]}, "image 2: 42 is image 0 too", id="an id twice"
        ),
        pytest.param(
            {"images": [*IMAGES, IMAGES[0] | {"id": 43}]},
            "image 2: COCO_val2014_000000000042.jpg is image 0 too",
            id="a name twice",
        ),
        pytest.param(
            {"annotations": [*ANNOTATIONS, {"image_id": 7, "id": 1, "caption": "a"}]},
            "annotation 9: `image_id` 7 is no image's `id`",
            id="a caption of no image",
        ),
        pytest.param(
            {"annotations": [{"image_id": 9, "id": 1, "caption": None}]},
            r"annotation 0: Expected `str`, got `null` - at `\$\.annotations\[0\]\.caption`",
            id="a caption that is no text",
        ),
        pytest.param(
            {"annotations": [{"image_id": 9, "id": 1, "bbox": [0, 0, 1, 1]}]},
            "annotation 0: Object missing required field `caption`",
            id="boxes",
        ),
        pytest.param(
            {"images": [IMAGES[0] | {"file_name": "../../etc/passwd"}, IMAGES[1]]},
            "image 0: `file_name` must stay inside the folder",
            id="outside",
        ),
    ],
)
def test_an_error_names_file_entry_and_key(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, **changes)

    with pytest.raises(InputError, match=r"captions_val2014\.json: .*" + message):
        read(path)


def test_a_file_is_recognized_by_what_it_holds(tmp_path: Path) -> None:
    many = [IMAGES[0] | {"id": n, "file_name": f"{n}.jpg"} for n in range(5000)]
    path = written(tmp_path, images=many, annotations=ANNOTATIONS * 1000)
    boxes = written(tmp_path, "instances_val2014.json", annotations=[{"image_id": 9, "bbox": []}])

    assert KIND.recognize("mscoco", path) == CocoDataset(path=path)
    assert KIND.recognize("mscoco", str(tmp_path)) == CocoDataset(path=path)
    assert KIND.recognize("mscoco", boxes) is None
    assert KIND.recognize("mscoco", f"{tmp_path}/missing") is None


def test_its_fingerprint_is_that_of_what_it_holds(tmp_path: Path) -> None:
    found: set[str] = set()
    for folder in ("a", "b", "c"):
        path = written(tmp_path / folder)
        write_images(tmp_path / folder, *(str(image["file_name"]) for image in IMAGES))
        if folder == "c":
            (tmp_path / folder / str(IMAGES[1]["file_name"])).write_bytes(b"other")
        found.add(identity_of(KIND, CocoDataset(path=path)))

    assert len(found) == 2
