import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_benchmark.datasets.objectnet import ObjectNetDataset as Oracle
from PIL import Image
from published_forms import class_ids, files_below, labelled, names_of, write_image, write_text

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.objectnet import KIND, ObjectNetDataset
from openalign.images.decoding import decode

LABELS = {
    "tape": "Tape / duct tape",
    "alarm_clock": "Alarm clock",
    "banana": "Banana",
    "weight_scale": "Weight scale",
}
SHARED = {"Banana": "banana", "Alarm clock": "analog clock; digital clock"}


def write_maps(folder: Path) -> None:
    write_text(folder / "folder_to_objectnet_label.json", json.dumps(LABELS))
    write_text(folder / "objectnet_to_imagenet_1k.json", json.dumps(SHARED))


def write(root: Path) -> Path:
    for folder in LABELS:
        write_image(root / "objectnet-1.0" / "images" / folder / "b.png", form="PNG")
        write_image(root / "objectnet-1.0" / "images" / folder / "a.png", form="PNG")
    write_maps(root / "objectnet-1.0" / "mappings")
    return root


def read(path: Path, **settings: Any) -> Dataset:
    return KIND.read(ObjectNetDataset(path=str(path), **settings))


def test_the_shared_classes_are_those_of_clip_benchmark(tmp_path: Path) -> None:
    write(tmp_path)
    write_maps(tmp_path)  # where the oracle looks for them
    write_text(tmp_path / "imagenet_to_label_2012_v2", "analog clock\nbanana\ndigital clock\n")
    write_text(tmp_path / "pytorch_to_imagenet_2012_id.json", '{"7": 0, "8": 1, "9": 2}')
    oracle = Oracle(str(tmp_path), transform=None)
    folder = tmp_path / "objectnet-1.0"

    found = read(tmp_path)

    assert class_ids(found) == ["alarm_clock", "banana"]
    assert (
        names_of(found) == [(name,) for name in oracle.classes] == [("alarm clock",), ("banana",)]
    )
    theirs = [oracle.label_map[Path(path).parent.name] for path, _ in oracle.samples]
    paths = [Path(path).relative_to(folder).as_posix() for path, _ in oracle.samples]
    assert labelled(found, "test") == list(zip(paths, theirs, strict=True))
    assert (found.test_split, found.train_split) == ("test", "test")


def test_all_classes_may_be_read(tmp_path: Path) -> None:
    found = read(write(tmp_path) / "objectnet-1.0", classes="all")

    assert class_ids(found) == ["alarm_clock", "banana", "tape", "weight_scale"]
    assert len(found.images) == 8
    assert found.images[0].name == "images/alarm_clock/a.png"


def test_the_red_border_is_cut_off(tmp_path: Path) -> None:
    write(tmp_path)
    pixels = np.zeros((9, 12, 3), dtype=np.uint8)
    pixels[:] = (255, 0, 0)
    pixels[2:-2, 2:-2] = np.arange(5 * 8 * 3).reshape(5, 8, 3)
    file = tmp_path / "objectnet-1.0/images/alarm_clock/a.png"
    Image.fromarray(pixels).save(file)

    image = read(tmp_path).images[0]
    whole = read(tmp_path, border_px=0).images[0]

    assert image.place.file == str(file)
    assert np.array_equal(np.asarray(decode(image.place.read())), pixels[2:-2, 2:-2])
    assert whole.place.read() == file.read_bytes()


def test_an_image_no_larger_than_its_border_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    file = tmp_path / "objectnet-1.0/images/alarm_clock/a.png"
    for side, is_told in ((5, False), (4, True)):
        Image.new("RGB", (9, side)).save(file)
        place = read(tmp_path).images[0].place
        if is_told:
            with pytest.raises(InputError, match=r"a.png has 9 x 4 pixels, and a border of 2"):
                place.read()
        else:
            assert decode(place.read()).size == (5, 1)


def test_an_image_that_is_none_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "objectnet-1.0/images/alarm_clock/a.png").write_bytes(b"no image")

    with pytest.raises(InputError, match=r"a.png: an image in it cannot be decoded"):
        read(tmp_path).images[0].place.read()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        pytest.param(
            "objectnet_to_imagenet_1k.json",
            '{"Banana": "banana", "Chair": "chair"}',
            "objectnet_to_imagenet_1k.json: `Chair` is no class",
            id="a class that is not there",
        ),
        pytest.param(
            "folder_to_objectnet_label.json", "[1]", "Expected `object`", id="another type"
        ),
        pytest.param("objectnet_to_imagenet_1k.json", "{", "is not JSON", id="cut off"),
        pytest.param(
            "folder_to_objectnet_label.json",
            json.dumps({**LABELS, "bench": "Banana"}),
            "bench is not there",
            id="a folder that is not there",
        ),
    ],
)
def test_a_broken_map_is_told(tmp_path: Path, file: str, text: str, message: str) -> None:
    write(tmp_path)
    write_text(tmp_path / "objectnet-1.0" / "mappings" / file, text)

    with pytest.raises(InputError, match=message):
        read(tmp_path, classes="all" if "bench" in text else "shared")


def test_a_folder_without_maps_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folder_to_objectnet_label.json is not there") as caught:
        read(tmp_path)

    assert f"{tmp_path}/objectnet-1.0" in str(caught.value.hint)


def test_it_is_recognized_by_its_form(tmp_path: Path) -> None:
    found = KIND.recognize("objectnet", str(write(tmp_path)))

    assert found == ObjectNetDataset(path=str(tmp_path))
    assert KIND.recognize("objectnet", str(tmp_path / "objectnet-1.0" / "images")) is None


def test_its_images_lie_below_the_folder_of_images(tmp_path: Path) -> None:
    for root in (write(tmp_path), tmp_path / "objectnet-1.0"):
        settings = ObjectNetDataset(path=str(root))
        folder = KIND.image_folder(settings)

        assert folder == f"{tmp_path}/objectnet-1.0"
        assert files_below(folder, KIND.read(settings))
