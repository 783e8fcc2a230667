"""Folders of images of which nothing is said."""

from pathlib import Path

import pytest

from openalign.errors import InputError
from openalign.evaluate.datasets import images_alone
from openalign.evaluate.datasets.images_alone import ImagesDataset
from openalign.evaluate.datasets.recognition import recognized


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names_in(folder: Path) -> list[str]:
    return [image.name for image in images_alone.read(ImagesDataset(path=str(folder))).images]


def test_images_of_all_depths_come_in_the_order_of_their_folders(tmp_path: Path) -> None:
    touch(
        tmp_path, "b.jpg", "B.PNG", "2020/a.webp", "2019/may/a.tiff", "2019/z.jpeg", "2019/x/1.gif"
    )

    assert names_in(tmp_path) == [
        *("B.PNG", "b.jpg"),
        *("2019/z.jpeg", "2019/may/a.tiff", "2019/x/1.gif", "2020/a.webp"),
    ]


def test_what_is_no_image_or_hidden_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.txt", "a.mp4", ".b.jpg", ".thumbs/c.jpg", "__MACOSX/d.jpg", "jpg")

    assert names_in(tmp_path) == ["a.jpg"]


def test_linked_folders_are_followed_and_one_that_leads_back_is_refused(tmp_path: Path) -> None:
    photos = touch(tmp_path / "photos", "a.jpg")
    elsewhere = touch(tmp_path / "elsewhere", "b.jpg")
    (photos / "first").symlink_to(elsewhere)
    (photos / "second").symlink_to(elsewhere)  # twice is not back

    assert names_in(photos) == ["a.jpg", "first/b.jpg", "second/b.jpg"]

    (elsewhere / "up").symlink_to(photos)
    with pytest.raises(InputError, match="first/up: is a link to a folder that it lies in"):
        names_in(photos)


def test_a_link_to_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    photos = touch(tmp_path / "photos", "a.jpg", "deep/b.jpg")
    (photos / "deep" / "disk").symlink_to(tmp_path / "gone")

    with pytest.raises(InputError, match="photos/deep/disk is a link that leads nowhere"):
        names_in(photos)


def test_images_have_neither_captions_nor_classes_and_one_split(tmp_path: Path) -> None:
    dataset = images_alone.read(ImagesDataset(path=str(touch(tmp_path, "a.jpg"))))

    (image,) = dataset.images
    assert (image.captions, image.label, image.split) == ((), None, dataset.test_split)
    assert not dataset.classes
    assert not dataset.has_train
    assert not dataset.title_of(image)


@pytest.mark.parametrize(
    ("held", "named", "error"),
    [
        pytest.param(["a.txt", "deep/b.txt"], "", "neither it nor a folder below it", id="none"),
        pytest.param(["a.jpg"], "gone", "gone cannot be listed", id="no folder"),
        pytest.param(["a.jpg"], "a.jpg", r"a\.jpg cannot be listed", id="a file"),
    ],
)
def test_a_folder_without_images_is_refused(
    tmp_path: Path, held: list[str], named: str, error: str
) -> None:
    touch(tmp_path, *held)

    with pytest.raises(InputError, match=error):
        names_in(tmp_path / named)


def test_a_folder_of_images_is_taken_for_these_only_where_it_is_called_so(tmp_path: Path) -> None:
    path = str(touch(tmp_path, "deep/a.jpg", "notes.txt"))

    assert recognized("images", path) == {"images": ImagesDataset(path=path)}
    with pytest.raises(InputError, match="is of no form that is known"):
        recognized("photos", path)
    with pytest.raises(InputError, match="is of none of the forms of `images`"):
        recognized("images", f"{path}/notes.txt")


def test_a_folder_of_no_other_form_is_told_how_it_is_searched(tmp_path: Path) -> None:
    path = str(touch(tmp_path, "a.jpg"))

    with pytest.raises(InputError) as caught:
        recognized("photos", path)

    assert f"openalign evaluate --model FOLDER --data images={path}" in str(caught.value.hint)
