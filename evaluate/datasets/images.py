"""An image of a benchmark, whatever format the benchmark was published in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from openalign.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkImage:
    """One image of a benchmark with its captions."""

    name: str
    """Its file name: unique in a benchmark."""

    split: str
    path: str
    """Where it lies below the folder of images."""

    url: str
    """Where it lies."""

    captions: tuple[str, ...]


def check_splits(images: Sequence[BenchmarkImage], splits: Collection[str], *, of: str) -> None:
    """Refuse splits that no image is in; `of` says whose splits they are.

    Raises:
        InputError: names the split that is missing and those that are there.
    """
    present = list(dict.fromkeys(image.split for image in images))
    for split in splits:
        if split not in present:
            raise InputError(
                f"{of}: no image is in split `{split}`", hint=f"splits are: {', '.join(present)}"
            )
