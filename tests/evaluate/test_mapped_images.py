"""The map of images: which are on it, what class they are of, and what is drawn of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.drawing.image_map import NO_MAP, ImageMap, MappedImage
from openalign.evaluate.drawing.map_drawing import DrawnClass, draw_map
from openalign.evaluate.drawing.thumbnails import Thumbnail, read_thumbnails, write_thumbnails
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.mapped_images import map_of
from openalign.evaluate.metrics.vectors import unit_rows
from openalign.evaluate.results import TaskResult
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark, benchmark_of
from openalign.files.names import THUMBNAILS_FILE


def embedded(
    name: str, splits: Sequence[str], labels: Sequence[int | None] = (), classes: Sequence[str] = ()
) -> EmbeddedBenchmark:
    images = [
        BenchmarkImage(
            name=f"{at}.png",
            split=split,
            place=ImageFile("pictures", f"{at}.png"),
            label=labels[at] if labels else None,
        )
        for at, split in enumerate(splits)
    ]
    dataset = Dataset(
        images=images, classes=tuple(ImageClass(id=each, names=(each,)) for each in classes)
    )
    rows = unit_rows(np.random.default_rng(0).normal(size=(len(images), 8)))
    return benchmark_of(name, dataset, image_GD=rows, caption_GD=None, image_hashes=[])


def task(benchmark: str, **facts: str) -> TaskResult:
    return TaskResult(name=benchmark, kind="retrieval", benchmark=benchmark, facts=facts)


def test_the_images_of_the_split_that_numbers_are_of_are_on_it() -> None:
    splits = ["val", "train"] * 6
    found = map_of([task("a", split="val")], {"a": embedded("a", splits)})

    assert (found.benchmark, found.split, found.num_images) == ("a", "val", 6)
    assert {image.name for image in found.images} == {f"{at}.png" for at in range(0, 12, 2)}
    for axis in ("x", "y"):
        values = [getattr(image, axis) for image in found.images]
        assert (min(values), max(values)) == (0.0, 1.0)
        assert all(value == round(value, 3) for value in values)


def test_a_benchmark_of_few_images_leaves_the_map_to_the_next() -> None:
    benchmarks = {"few": embedded("few", ["test"] * 4), "more": embedded("more", ["test"] * 5)}

    assert map_of([task("few"), task("more")], benchmarks).benchmark == "more"
    assert map_of([task("few")], benchmarks) == NO_MAP


def test_of_many_images_200_are_drawn_whatever_their_order() -> None:
    many = embedded("many", ["test"] * 230)

    found = map_of([task("many")], {"many": many})

    assert (found.num_images, len(found.images)) == (230, 200)
    assert found == map_of([task("many")], {"many": many})
    assert {image.name for image in found.images} != {f"{at}.png" for at in range(200)}


def test_the_classes_are_those_that_part_the_images_best() -> None:
    splits = ["test"] * 6
    benchmarks = {
        "a": embedded("a", splits),
        "one": embedded("one", splits, [0] * 6, ["all"]),
        "halves": embedded("halves", splits, [0, 0, 0, 1, 1, None], ["left", "right"]),
    }

    found = map_of([task("a")], benchmarks)

    classes = {image.name: image.class_ for image in found.images}
    assert classes["0.png"] == "left"
    assert classes["4.png"] == "right"
    assert classes["5.png"] == ""


def drawn_map(classes: Sequence[str]) -> ImageMap:
    images = [
        MappedImage(name=f"{at}.png", x=at / len(classes), y=0.5, class_=class_)
        for at, class_ in enumerate(classes)
    ]
    return ImageMap(benchmark="a", split="test", num_images=len(classes), images=tuple(images))


def tiles(num_images: int) -> Tiles:
    thumbnails = {
        ("a", f"{at}.png"): Thumbnail(caption=f"image {at}", webp=b"x") for at in range(num_images)
    }
    return Tiles("a", thumbnails)


def test_an_image_has_its_caption_its_class_and_the_class_color() -> None:
    drawn = draw_map(drawn_map(["b", "a", "a", ""]), tiles(4))

    assert drawn is not None
    assert [(image.words, image.color) for image in drawn.images] == [
        ("image 0 (b)", 2),
        ("image 1 (a)", 1),
        ("image 2 (a)", 1),
        ("image 3", 0),
    ]
    assert drawn.classes == [
        DrawnClass(title="a", num_images=2, color=1),
        DrawnClass(title="b", num_images=1, color=2),
    ]


@pytest.mark.parametrize(
    ("caption", "class_", "words"),
    [
        ("a tabby", "cat", "a tabby (cat)"),
        ("cat", "cat", "cat"),
        ("", "cat", "cat"),
        (" ", "", "0.png"),
    ],
)
def test_a_class_is_said_once_and_some_word_always(caption: str, class_: str, words: str) -> None:
    thumbnails = {("a", "0.png"): Thumbnail(caption=caption, webp=b"x")}

    drawn = draw_map(drawn_map([class_]), Tiles("a", thumbnails))

    assert drawn is not None
    assert drawn.images[0].words == words


@pytest.mark.parametrize(("num_classes", "last"), [(9, "class 8"), (10, "other classes")])
def test_rare_classes_share_a_color(num_classes: int, last: str) -> None:
    names = [f"class {at}" for at in range(num_classes)]

    drawn = draw_map(drawn_map(names), tiles(num_classes))

    assert drawn is not None
    assert [each.color for each in drawn.classes] == list(range(1, 10))
    assert (drawn.classes[-1].title, drawn.classes[-1].num_images) == (last, num_classes - 8)


def test_a_small_copy_is_called_as_its_data_set_calls_it_else_by_its_name(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    bare = BenchmarkImage(name="0.png", split="test", place=ImageFile(str(tmp_path), "0.png"))
    dataset = Dataset(images=[], classes=(ImageClass(id="n01", names=("cat",)),))
    images = {
        "captioned": replace(bare, captions=("", "a tabby"), label=0),
        "labelled": replace(bare, label=0),
        "bare": bare,
    }

    write_thumbnails(str(tmp_path), [(name, dataset, image) for name, image in images.items()])

    written = read_thumbnails(str(tmp_path / THUMBNAILS_FILE))
    captions = {benchmark: small.caption for (benchmark, _), small in written.items()}
    assert captions == {"captioned": "a tabby", "labelled": "cat", "bare": "0.png"}


def test_no_images_are_no_drawing() -> None:
    assert draw_map(NO_MAP, tiles(0)) is None
