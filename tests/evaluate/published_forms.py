"""Files of labelled data sets in the forms in which they are published."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from openalign.evaluate.datasets.dataset import Dataset


def write_image(path: Path, color: Any = "red", *, mode: str = "RGB", form: str = "JPEG") -> None:
    """Write an image of 24 x 20 pixels; `form` is its encoding, whatever its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 20), color).convert(mode).save(path, form)


def write_text(path: Path, text: str) -> Path:
    """Write a text file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def labelled(dataset: Dataset, split: str) -> list[tuple[str, int | None]]:
    """Return name and label of each image of a split."""
    return [(image.name, image.label) for image in dataset.images if image.split == split]


def files_below(folder: str, dataset: Dataset) -> bool:
    """Tell whether each image's file is its name below a folder."""
    return all(image.place.file == f"{folder}/{image.name}" for image in dataset.images)


def class_ids(dataset: Dataset) -> list[str]:
    """Return what a data set calls its classes."""
    return [each.id for each in dataset.classes]


def names_of(dataset: Dataset) -> list[tuple[str, ...]]:
    """Return what prompts call the classes."""
    return [each.names for each in dataset.classes]


def below(root: Path, paths: Sequence[Any], labels: Sequence[int]) -> list[tuple[str, int]]:
    """Return what a library read, as `labelled` returns it."""
    names = [Path(path).relative_to(root).as_posix() for path in paths]
    return list(zip(names, [int(label) for label in labels], strict=True))
