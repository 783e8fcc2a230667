"""VTAB-1k as TFDS's records."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from dataset_identity import identity_of
from tfds_files import Values, write_builder
from vtab_reads import labels, read

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.vtab.vtab import KIND, VtabDataset
from openalign.evaluate.datasets.reading.pixels import to_png
from openalign.images.decoding import decode


def image(value: int) -> dict[str, Values]:
    return {"image": [to_png(np.full((2, 3, 3), value, dtype=np.uint8))]}


def shown(dataset: Dataset, split: str) -> list[int]:
    """Return the value that each image of a split was made of."""
    return [
        int(np.asarray(decode(image.place.read()))[0, 0, 0])
        for image in dataset.images
        if image.split == split
    ]


def cut(items: list[Any], *at: int) -> list[list[Any]]:
    """Return shards that begin at these places."""
    return [items[start:stop] for start, stop in zip((0, *at), (*at, len(items)), strict=True)]


def test_slices_are_taken_over_shards(tmp_path: Path) -> None:
    train = [image(n % 251) | {"label": [n % 10]} for n in range(1300)]
    test = [image(n) | {"label": [9 - n]} for n in range(5)]
    splits = {"train": cut(train, 500, 790, 1180), "test": cut(test, 2)}
    write_builder(tmp_path, "svhn_cropped", "3.0.0", splits)

    found = read(tmp_path, "svhn")

    # train800 is train[:800]; val200 begins at 90 % of 1,300
    assert shown(found, "train800") == [n % 251 for n in range(800)]
    assert shown(found, "val200") == [n % 251 for n in range(1170, 1300)]
    assert labels(found, "val200") == [n % 10 for n in range(1170, 1300)]
    assert (shown(found, "test"), labels(found, "test")) == ([0, 1, 2, 3, 4], [9, 8, 7, 6, 5])
    assert len(labels(found, "train800val200")) == 930
    assert found.images[0].name == "train800/000000"
    assert found.notes == ()


class Taken(NamedTuple):
    """Where a task's parts begin in splits of these sizes, and what a label becomes."""

    task: str
    folder: str
    sizes: dict[str, int]
    val: tuple[str, int]
    test: tuple[str, int]
    label: Callable[[int], int] = lambda place: place % 2


TAKEN = (
    Taken(
        "dtd",
        "dtd/3.0.1",
        {"train": 40, "validation": 40, "test": 7},
        val=("validation", 0),
        test=("test", 0),
    ),
    Taken(
        "pets",
        "oxford_iiit_pet/3.2.0",
        {"train": 40, "test": 7},
        val=("train", 32),
        test=("test", 0),
    ),
    Taken("eurosat", "eurosat/rgb/2.0.0", {"train": 50}, val=("train", 30), test=("train", 40)),
    Taken(
        "clevr_count",
        "clevr/3.1.0",
        {"train": 40, "validation": 9, "test": 5},
        val=("train", 36),
        test=("validation", 0),
        label=lambda place: place % 8,
    ),
    Taken(
        "smallnorb_azimuth",
        "smallnorb/2.0.0",
        {"train": 9, "test": 40},
        val=("test", 0),
        test=("test", 20),
        label=lambda place: place % 18,
    ),
    Taken(
        "dsprites_location",
        "dsprites/2.0.0",
        {"train": 50},
        val=("train", 40),
        test=("train", 45),
        label=lambda place: place % 32 // 2,
    ),
)


@pytest.mark.parametrize("taken", TAKEN, ids=lambda taken: taken.task)
def test_a_task_takes_its_own_part_of_a_split(tmp_path: Path, taken: Taken) -> None:
    """The label tells the place, so that the parts can be seen; 200 is more than there are."""

    def record(place: int) -> dict[str, Values]:
        return {
            "image": [to_png(np.full((2, 2), place % 2, dtype=np.uint8))],
            "label": [place % 2],
            "label_azimuth": [place % 18],
            "label_x_position": [place % 32],
            "objects/size": [0] * (3 + place % 8),
        }

    builder, _, version = taken.folder.rpartition("/")
    splits = {split: [[record(n) for n in range(size)]] for split, size in taken.sizes.items()}
    write_builder(tmp_path, builder, version, splits)

    found = read(tmp_path, taken.task)

    for split, (of, first) in (("val200", taken.val), ("test", taken.test)):
        expected = [taken.label(place) for place in range(first, taken.sizes[of])]
        assert labels(found, split) == expected, split


@pytest.mark.parametrize(
    ("depths", "label"),
    [
        pytest.param([12.0, 7.5], 0, id="the nearest counts"),
        pytest.param([8.0], 0, id="on the first step"),
        pytest.param([8.01], 1, id="above it"),
        pytest.param([8.5], 1, id="8.5"),
        pytest.param([9.0], 2, id="9"),
        pytest.param([9.25], 3, id="9.25"),
        pytest.param([10.0], 4, id="on the last step"),
        pytest.param([10.5, 11.0], 5, id="far"),
    ],
)
def test_clevrs_distance_is_the_nearest_depth_in_steps(
    tmp_path: Path, depths: list[float], label: int
) -> None:
    coordinates = [value for depth in depths for value in (100.0, 1.0, depth)]
    record = image(0) | {"objects/pixel_coords": coordinates}
    write_builder(tmp_path, "clevr", "3.1.0", {"train": [[record]], "validation": [[record]]})

    assert labels(read(tmp_path, "clevr_distance"), "test") == [label]


@pytest.mark.parametrize(
    ("objects", "label"),
    [
        pytest.param([], 3, id="no object"),
        pytest.param([(3, 1.0), (5, 2.0)], 3, id="a pedestrian and a cyclist are no vehicles"),
        pytest.param([(0, 30.0), (2, 7.9), (1, 12.0)], 0, id="a truck nearby"),
        pytest.param([(0, 8.0)], 0, id="on the first step"),
        pytest.param([(1, 8.5), (7, 1.0)], 1, id="a van, something else before it"),
        pytest.param([(0, 20.0)], 1, id="on the second step"),
        pytest.param([(0, 20.5)], 2, id="a car far off"),
    ],
)
def test_kittis_distance_is_that_of_the_nearest_vehicle(
    tmp_path: Path, objects: list[tuple[int, float]], label: int
) -> None:
    record = image(0) | {
        "objects/type": [type_ for type_, _ in objects],
        "objects/location": [v for _, z in objects for v in (-4.0, 1.5, z)],
    }
    splits = {split: [[record]] for split in ("train", "validation", "test")}
    write_builder(tmp_path, "kitti", "3.2.0", splits)

    assert labels(read(tmp_path, "kitti_distance"), "test") == [label]


def test_dsprites_orientations_are_two_and_a_half_a_class(tmp_path: Path) -> None:
    train = [
        {"image": [to_png(np.eye(4, dtype=np.uint8))], "label_orientation": [angle]}
        for angle in range(40)
    ]
    write_builder(tmp_path, "dsprites", "2.0.0", {"train": [train]})

    found = read(tmp_path, "dsprites_orientation")

    bins = [int(np.floor(angle / 2.5)) for angle in range(40)]  # as task_adaptation divides
    assert labels(found, "train800") == bins
    assert Counter(bins)[15] == 2
    pixels = np.asarray(decode(found.images[0].place.read()))
    assert np.array_equal(pixels[:, :, 1], 255 * np.eye(4))


def test_an_image_of_dsprites_with_other_values_is_told(tmp_path: Path) -> None:
    train = [image(2) | {"label_orientation": [0]}]
    write_builder(tmp_path, "dsprites", "2.0.0", {"train": [train]})

    with pytest.raises(InputError, match="values above 1"):
        read(tmp_path, "dsprites_orientation").images[0].place.read()


def test_the_highest_version_that_fits_is_read(tmp_path: Path) -> None:
    for number, version in enumerate(("2.9.0", "3.0.2", "3.0.10", "4.0.0", "3.1.0.incomplete")):
        record = image(0) | {"label": [number]}
        write_builder(tmp_path, "cifar100", version, {"train": [[record]], "test": [[record]]})

    assert labels(read(tmp_path, "cifar100"), "test") == [2]


def test_only_the_version_that_vtab_names_is_read_of_dmlab(tmp_path: Path) -> None:
    splits = {split: [[image(0) | {"label": [0]}]] for split in ("train", "validation", "test")}
    write_builder(tmp_path, "dmlab", "2.0.10", splits)

    with pytest.raises(InputError, match="holds no VTAB task `dmlab`") as caught:
        read(tmp_path, "dmlab")

    assert "dmlab/2.0.1" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("record", "info", "message"),
    [
        pytest.param({"label": [1]}, {}, "record 0 has no image", id="no image"),
        pytest.param(image(0), {}, "record 0 has 0 values of `label`", id="no label"),
        pytest.param(image(0) | {"label": [1, 2]}, {}, "has 2 values of `label`", id="two labels"),
        pytest.param(image(0) | {"label": [100]}, {}, "is of class 100, and CIFAR-100", id="high"),
        pytest.param(
            image(0) | {"label": [1]}, {"fileFormat": "array_record"}, "are array_record", id="form"
        ),
        pytest.param(
            image(0) | {"label": [1]}, {"splits": []}, "has no split `train`", id="no split"
        ),
        pytest.param(
            image(0) | {"label": [1]},
            {"splits": [{"name": "train", "shardLengths": ["2"]}]},
            "has 1 records, and dataset_info.json announces 2",
            id="a shard that is not whole",
        ),
        pytest.param(image(0), {"splits": 1}, "Expected `array`", id="another type"),
        pytest.param(
            image(0),
            {"splits": [{"name": "train", "shardLengths": ["many"]}]},
            "dataset_info.json: split 0: Expected `int`",
            id="a length that is none",
        ),
    ],
)
def test_a_broken_data_set_is_told(
    tmp_path: Path, record: dict[str, Values], info: dict[str, Any], message: str
) -> None:
    splits = {split: [[record]] for split in ("train", "test")}
    write_builder(tmp_path, "cifar100", "3.0.2", splits, info=info)

    with pytest.raises(InputError, match=message):
        read(tmp_path, "cifar100")


def test_records_count_by_their_content(tmp_path: Path) -> None:
    def fingerprint(folder: str, label: int) -> str:
        splits = {split: [[image(0) | {"label": [label]}]] for split in ("train", "test")}
        write_builder(tmp_path / folder, "cifar100", "3.0.2", splits)
        return identity_of(KIND, VtabDataset(path=str(tmp_path / folder), task="cifar100"))

    assert fingerprint("one", 1) == fingerprint("two", 1) != fingerprint("three", 2)
