import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from dataset_identity import identity_of
from miniature_images import ODD_IMAGES, write_images

from openalign.errors import InputError
from openalign.evaluate.datasets.captions.multi30k import KIND, Multi30kDataset
from openalign.evaluate.datasets.dataset import Dataset

TEST, TRAIN = ["1007129816.jpg", "1009434119.jpg"], ["1000092795.jpg"]
COCO = ["COCO_train2014_000000117071.jpg#367178", "COCO_val2014_000000398076.jpg#657409"]


def write(file: Path, lines: Sequence[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())


def captions(part: str, images: Sequence[str], language: str, number: int = 1) -> list[str]:
    return [f"{part} {language} {number} of {image}, größer \u2028. " for image in images]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    task1, task2 = tmp_path / "data" / "task1", tmp_path / "data" / "task2"
    for split, images in {
        "train": TRAIN,
        "test_2016_flickr": TEST,
        "test_2017_mscoco": COCO,
    }.items():
        write(task1 / "image_splits" / f"{split}.txt", images)
        for language in ("en", "fr"):
            write(task1 / "raw" / f"{split}.{language}.gz", captions("t1", images, language))
    write(task1 / "raw" / "train.cs", captions("t1", TRAIN, "cs"))
    for split, images in {"train": TRAIN, "test_2016": TEST}.items():
        write(task2 / "image_splits" / f"{split}_images.txt", images)
        for number in range(1, 6):
            write(task2 / "raw" / f"{split}.{number}.en.gz", captions("t2", images, "en", number))
    write(task2 / "image_splits" / "test_2017_images.txt", ["1.jpg"])  # has no captions anywhere
    return tmp_path


def read(path: Path | str, **settings: Any) -> Dataset:
    return KIND.read(Multi30kDataset(path=str(path), **settings))


def test_english_has_five_captions_of_an_image(clone: Path) -> None:
    dataset = read(clone)

    assert [(image.name, image.split) for image in dataset.images] == [
        ("1007129816.jpg", "test"),
        ("1009434119.jpg", "test"),
        ("1000092795.jpg", "train"),
    ]
    assert dataset.images[1].captions == tuple(
        f"t2 en {number} of 1009434119.jpg, größer \u2028." for number in range(1, 6)
    )


def test_french_has_one_and_the_later_test_sets(clone: Path) -> None:
    dataset = read(clone, language="fr")

    assert [(image.name, image.split) for image in dataset.images] == [
        ("1007129816.jpg", "test"),
        ("1009434119.jpg", "test"),
        ("COCO_train2014_000000117071.jpg", "test_2017_mscoco"),
        ("COCO_val2014_000000398076.jpg", "test_2017_mscoco"),
        ("1000092795.jpg", "train"),
    ]
    assert dataset.images[0].captions == ("t1 fr 1 of 1007129816.jpg, größer \u2028.",)


def test_a_part_can_be_named_and_only_its_splits_are_read(clone: Path) -> None:
    assert {len(image.captions) for image in read(clone, part="task1").images} == {1}
    assert read(clone / "data", language="cs").splits == ("train",)


def test_the_clone_and_its_folder_data_are_the_same(clone: Path) -> None:
    assert read(clone / "data", images="/photos").images == read(clone, images="/photos").images


@pytest.mark.parametrize(
    ("language", "part", "message"),
    [
        ("tr", "", "has no captions in `tr`"),
        ("fr", "task2", "has no captions in `fr` in task2"),
    ],
)
def test_a_language_that_is_not_there_is_refused(
    clone: Path, language: str, part: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(clone, language=language, part=part)


def test_a_file_of_another_length_than_its_list_is_refused(clone: Path) -> None:
    write(clone / "data/task2/raw/test_2016.3.en.gz", ["only one"])

    with pytest.raises(
        InputError, match=r"test_2016\.3\.en\.gz: has 1 lines, .*_images\.txt has 2"
    ):
        read(clone)


def test_one_of_five_files_missing_is_refused(clone: Path) -> None:
    (clone / "data/task2/raw/test_2016.3.en.gz").unlink()

    with pytest.raises(InputError, match=r"has 4 of the 5 files test_2016\.1\.en"):
        read(clone)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["../a.jpg", "b.jpg"], r"test_2016_images\.txt:1: the image must stay inside"),
        (["a.jpg", ""], r"test_2016_images\.txt:2: the image must stay inside"),
        (["a.jpg", "a.jpg"], "image 1: a.jpg is image 0 too"),
    ],
)
def test_a_broken_list_of_images_is_refused(
    clone: Path, images: Sequence[str], message: str
) -> None:
    write(clone / "data/task2/image_splits/test_2016_images.txt", images)

    with pytest.raises(InputError, match=message):
        read(clone)


def test_a_blank_caption_of_five_is_left_out_and_one_of_one_refused(clone: Path) -> None:
    write(clone / "data/task2/raw/test_2016.3.en.gz", ["", "one"])
    write(clone / "data/task1/raw/test_2016_flickr.fr.gz", ["", "one"])

    dataset = read(clone)

    assert [len(image.captions) for image in dataset.images] == [4, 5, 5]
    assert dataset.notes == (f"{clone}: blank captions, left out: 1 (1007129816.jpg)",)
    with pytest.raises(InputError, match=r"1007129816\.jpg has no caption"):
        read(clone, language="fr")


def test_another_encoding_is_refused_with_file_and_line(clone: Path) -> None:
    file = clone / "data/task2/raw/test_2016.1.en.gz"
    file.write_bytes(gzip.compress("one\ncafé\n".encode("latin-1")))

    with pytest.raises(InputError, match=r"test_2016\.1\.en\.gz:2: is not UTF-8"):
        read(clone)


@pytest.mark.parametrize("place", ["flickr30k-images", "../flickr30k-images", "images"])
def test_images_are_found_near_the_clone(clone: Path, place: str) -> None:
    write_images(clone / place, TEST[0])

    assert read(clone).images[0].place.read() == ODD_IMAGES["gray.jpg"]


@pytest.mark.parametrize(
    ("name", "language"),
    [("multi30k", "en"), ("multi30k_de", "de"), ("multi30k_cs", "cs"), ("mine_fr", "en")],
)
def test_a_clone_is_recognized_and_the_name_tells_the_language(
    clone: Path, name: str, language: str
) -> None:
    expected = Multi30kDataset(path=str(clone), language=language)  # pyright: ignore[reportArgumentType]

    assert KIND.recognize(name, str(clone)) == expected
    assert KIND.recognize(name, f"{clone}/data/task1") is None
    assert KIND.recognize(name, f"{clone}/missing") is None


def test_its_fingerprint_depends_on_the_language(clone: Path) -> None:
    write_images(clone / "images", *TEST, *TRAIN, *(name.partition("#")[0] for name in COCO))

    found = {
        identity_of(KIND, Multi30kDataset(path=str(path), language=language))
        for path in (clone, clone / "data")
        for language in ("en", "fr")
    }
    one_english = Multi30kDataset(path=str(clone), part="task1")

    assert len(found) == 2
    assert identity_of(KIND, one_english) not in found  # the images of the French captions
