import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from miniature_images import ODD_IMAGES, write_images

from openalign.errors import InputError
from openalign.evaluate.datasets.captions.karpathy import KIND, KarpathyDataset
from openalign.evaluate.datasets.dataset import check_splits
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.images.decoding import decode

CAPTIONS = [{"raw": f"caption {n}", "tokens": ["caption"], "sentid": n} for n in range(6)]


def image(name: str, split: str, **other: Any) -> dict[str, Any]:
    return {"filename": name, "split": split, "imgid": 0, "sentences": CAPTIONS, **other}


def written(folder: Path, *images: Any) -> str:
    path = folder / "dataset.json"
    path.write_text(json.dumps({"dataset": "coco", "images": list(images)}))
    return str(path)


def read(path: str, **settings: Any) -> Sequence[BenchmarkImage]:
    return KIND.read(KarpathyDataset(path=path, **settings)).images


def test_images_of_every_split_come_in_the_files_order(tmp_path: Path) -> None:
    path = written(tmp_path, image("b.jpg", "test"), image("a.jpg", "train"), image("c", "val"))

    found = read(path)

    assert [(i.name, i.split) for i in found] == [
        ("b.jpg", "test"),
        ("a.jpg", "train"),
        ("c", "val"),
    ]
    assert found[0].place.file == f"{tmp_path}/b.jpg"


def test_only_the_first_captions_count(tmp_path: Path) -> None:
    path = written(tmp_path, image("a.jpg", "test"))

    assert read(path)[0].captions == tuple(f"caption {n}" for n in range(5))
    assert read(path, max_captions=2)[0].captions == ("caption 0", "caption 1")
    assert len(read(path, max_captions=9)[0].captions) == 6
    assert len(read(path, max_captions="all")[0].captions) == 6
    with pytest.raises(ValueError, match="max_captions must be above 0, got 0"):
        KarpathyDataset(path=path, max_captions=0)


def test_two_folders_may_hold_a_file_of_one_name(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        image("1.jpg", "test", filepath="airport"),
        image("1.jpg", "test", filepath="beach"),
    )

    found = read(path, images="/images")

    assert [each.name for each in found] == ["airport/1.jpg", "beach/1.jpg"]
    assert found[1].place.file == "/images/beach/1.jpg"


def test_six_or_seven_captions_and_restval_are_read_as_they_are(tmp_path: Path) -> None:
    seven = [{"raw": f"caption {n}", "sentid": n} for n in range(7)]
    path = written(tmp_path, image("a.jpg", "restval"), image("b.jpg", "test", sentences=seven))

    dataset = KIND.read(KarpathyDataset(path=path, max_captions=10))

    assert [len(each.captions) for each in dataset.images] == [6, 7]
    assert dataset.splits == ("restval", "test")


def test_a_blank_caption_is_left_out_and_told(tmp_path: Path) -> None:
    sentences = [{"raw": "one", "sentid": 7}, {"raw": " ", "sentid": 8}, {"raw": ".", "sentid": 9}]
    path = written(tmp_path, image("a.jpg", "test", sentences=sentences))

    dataset = KIND.read(KarpathyDataset(path=path))

    assert dataset.images[0].captions == ("one", ".")
    assert dataset.images[0].caption_ids == ("7", "9")
    assert dataset.notes == (f"{path}: blank captions, left out: 1 (a.jpg)",)


def test_an_image_with_blank_captions_only_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, image("a.jpg", "test", sentences=[{"raw": ""}]))

    with pytest.raises(InputError, match=r"dataset\.json: a\.jpg has no caption"):
        read(path)


@pytest.mark.parametrize("place", ["", "images", "../images", "flickr30k-images"])
def test_images_are_found_near_the_file(tmp_path: Path, place: str) -> None:
    (tmp_path / "annotations").mkdir()
    path = written(tmp_path / "annotations", image("gray.jpg", "test", filepath="val2014"))
    write_images(tmp_path / "annotations" / place, "val2014/gray.jpg")

    found = read(path)[0].place

    assert found.read() == ODD_IMAGES["gray.jpg"]
    assert KIND.image_folder(KarpathyDataset(path=path, images="/images")) == "/images"


def test_odd_images_can_be_decoded(tmp_path: Path) -> None:
    path = written(tmp_path, *(image(name, "test") for name in ODD_IMAGES))
    write_images(tmp_path, *ODD_IMAGES)

    gray, red, blue = [decode(each.place.read()).getpixel((6, 6)) for each in read(path)]

    assert gray == pytest.approx((128, 128, 128), abs=3)
    assert red == pytest.approx((255, 0, 0), abs=3)
    assert blue == (0, 0, 255)


def test_a_file_is_recognized_by_what_it_holds(tmp_path: Path) -> None:
    path = written(tmp_path, image("a.jpg", "test"))
    renamed = tmp_path / "anything.json"
    renamed.write_bytes(Path(path).read_bytes())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "dataset_coco.json").write_bytes(Path(path).read_bytes())
    (tmp_path / "other.json").write_text('{"images": [], "annotations": []}')

    assert KIND.recognize("any", str(renamed)) == KarpathyDataset(path=str(renamed))
    in_folder = KIND.recognize("any", f"{tmp_path}/folder")
    assert in_folder == KarpathyDataset(path=f"{tmp_path}/folder/dataset_coco.json")
    assert KIND.recognize("any", f"{tmp_path}/other.json") is None
    assert KIND.recognize("any", f"{tmp_path}/missing") is None


def test_captions_keep_their_ids_where_all_have_one(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        image("a.jpg", "test"),
        image("b.jpg", "test", sentences=[{"raw": "one", "sentid": 7}, {"raw": "two"}]),
    )

    assert [each.caption_ids for each in read(path)] == [("0", "1", "2", "3", "4"), ()]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param(
            "a.jpg",
            r"image 1: Expected `object`, got `str` - at `\$\.images\[1\]`",
            id="a bare name",
        ),
        pytest.param(
            {"split": "test"}, "image 1: .* missing required field `filename`", id="no name"
        ),
        pytest.param(
            image("b.jpg", 3),  # pyright: ignore[reportArgumentType]
            r"image 1: Expected `str`, got `int` - at `\$\.images\[1\]\.split`",
            id="a split that is a number",
        ),
        pytest.param(
            image("b.jpg", " "),
            r"image 1: Expected `str` .* at `\$\.images\[1\]\.split`",
            id="blank",
        ),
        pytest.param(
            image("b.jpg", "test", sentences=[]),
            r"image 1: Expected `array` of length >= 1 - at `\$\.images\[1\]\.sentences`",
            id="no captions",
        ),
        pytest.param(
            image("b.jpg", "test", sentences=[{"raw": "a"}, {"tokens": ["a"]}]),
            r"image 1: .* missing required field `raw` - at `\$\.images\[1\]\.sentences\[1\]`",
            id="a caption without text",
        ),
        pytest.param(image("a.jpg", "val"), "image 1: a.jpg is image 0 too", id="twice"),
        pytest.param(image("../../etc/passwd", "val"), "must stay inside the folder", id="outside"),
    ],
)
def test_an_error_names_file_image_and_key(tmp_path: Path, entry: Any, message: str) -> None:
    path = written(tmp_path, image("a.jpg", "test"), entry)

    with pytest.raises(
        InputError, match=f"dataset.json: {message}" if "must stay" not in message else message
    ):
        read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "is not JSON", id="cut off"),
        pytest.param("[]", "Expected `object`, got `array`", id="a list"),
        pytest.param(
            '{"images": {}}',
            r"Expected `array`, got `object` - at `\$\.images`",
            id="a mapping of images",
        ),
        pytest.param(
            '{"images": []}', r"Expected `array` of length >= 1 - at `\$\.images`", id="empty"
        ),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "dataset.json").write_text(text)

    with pytest.raises(InputError, match=message):
        read(str(tmp_path / "dataset.json"))


def test_a_split_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = written(tmp_path, image("a.jpg", "test"), image("b.jpg", "val"))
    dataset = KIND.read(KarpathyDataset(path=path))

    with pytest.raises(InputError, match="benchmark `coco`: no image is in split `dev`") as caught:
        check_splits(dataset, ("test", "dev"), of="benchmark `coco`")

    assert caught.value.hint == "splits are: test, val"


def test_reading_a_benchmark_needs_no_torch() -> None:
    module = "openalign.evaluate.datasets.captions.karpathy_reading"
    code = f"import {module}, sys; print('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
