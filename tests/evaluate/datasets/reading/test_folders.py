from pathlib import Path

import pytest

from openalign.errors import InputError
from openalign.evaluate.datasets.reading.folders import (
    check_inside,
    check_unique,
    glance,
    has_files,
    image_folder_near,
    only_file,
    split_of,
)


def test_a_glance_sees_beginning_and_end_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"\xef\xbb\xbfbegin" + b"." * 200_000 + b"end")

    seen = glance(str(file))

    assert seen.startswith("begin.")
    assert seen.endswith(".end")
    assert len(seen) == 2 * 65_536 - 3  # without the mark


def test_a_glance_at_a_small_file_sees_it_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("all")

    assert glance(str(tmp_path / "a.json")) == "all"


def test_a_glance_at_what_is_no_file_sees_nothing(tmp_path: Path) -> None:
    assert glance(str(tmp_path)) == ""
    assert glance(str(tmp_path / "missing")) == ""
    assert glance("nonsense://a/b") == ""


def test_a_folder_stands_for_the_one_file_of_a_name(tmp_path: Path) -> None:
    for name in ("dataset_a.json", "dataset_b.json", "captions.txt"):
        (tmp_path / name).touch()

    assert only_file(str(tmp_path), "captions*") == f"{tmp_path}/captions.txt"
    assert only_file(str(tmp_path), "dataset*.json") == ""
    assert only_file(str(tmp_path), "none*") == ""
    assert only_file(f"{tmp_path}/dataset_a.json", "none*") == f"{tmp_path}/dataset_a.json"
    assert only_file("nonsense://a/b", "*") == ""


def test_files_are_there_or_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").touch()

    assert has_files(str(tmp_path), "a", "b")
    assert not has_files(str(tmp_path), "a", "c")
    assert not has_files("nonsense://a/b", "c")


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        pytest.param("annotations", "annotations", id="the file's own folder"),
        pytest.param("annotations/images", "annotations/images", id="below it"),
        pytest.param("images", "images", id="beside it"),
        pytest.param("elsewhere", "annotations", id="nowhere near"),
    ],
)
def test_images_are_found_near_a_file(tmp_path: Path, place: str, expected: str) -> None:
    (tmp_path / place / "val2014").mkdir(parents=True)
    (tmp_path / place / "val2014" / "9.jpg").touch()

    found = image_folder_near(f"{tmp_path}/annotations/a.json", "val2014/9.jpg", ("images",))

    assert found == f"{tmp_path}/{expected}"


@pytest.mark.parametrize(
    ("file", "split"),
    [
        pytest.param("a/captions_val2017.json", "val", id="COCO"),
        pytest.param("coco_test_karpathy.json", "test", id="clip_benchmark's COCO"),
        pytest.param("flickr30k_train_karpathy.txt", "train", id="clip_benchmark's Flickr30K"),
        pytest.param("Flickr_8k.devImages.txt", "dev", id="Flickr8K's lists"),
        pytest.param("train/results.csv", "test", id="only the name counts"),
        pytest.param("interval.csv", "test", id="the end of a word"),
        pytest.param("validity.csv", "test", id="the beginning of a word"),
    ],
)
def test_a_files_name_tells_its_split(file: str, split: str) -> None:
    assert split_of(file) == split


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        pytest.param("a/b.jpg", "a/b.jpg", id="plain"),
        pytest.param("./dev/b.jpg", "dev/b.jpg", id="CIRR's"),
        pytest.param("a..b.jpg", "a..b.jpg", id="dots in a name"),
        pytest.param("grün/日 本.jpg", "grün/日 本.jpg", id="other letters"),
    ],
)
def test_a_path_inside_the_folder_passes(path: str, inside: str) -> None:
    assert check_inside("a.json: image 3: `filename`", path) == inside


@pytest.mark.parametrize("path", ["../a.jpg", "a/../../b.jpg", "..", "", " ", "a\0b", "a\nb"])
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="image 3: `filename` must stay inside the folder"):
        check_inside("a.json: image 3: `filename`", path)


def test_a_name_that_comes_twice_is_refused_with_both_places() -> None:
    check_unique("a.json", ["a", "b"], of="image")

    with pytest.raises(InputError, match=r"a\.json: image 3: b is image 1 too"):
        check_unique("a.json", ["a", "b", "c", "b"], of="image")
