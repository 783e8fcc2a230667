"""Images of which nothing is said, for `search`: settings. The reading lies beside it."""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesDataset:
    """All images in a folder and in the folders below it, to be searched."""

    kind: Literal["images"] = "images"
    """Which format: images without captions and classes."""

    path: str = location()
    """The folder; a path or URL."""


def read(dataset: ImagesDataset) -> Dataset:
    """Return every image, called by its path below the folder.

    Raises:
        InputError: there is no such folder, it holds no image, or a link leads nowhere or back to
            a folder that it lies in.
    """
    from openalign.evaluate.datasets import images_alone_reading

    return images_alone_reading.read(dataset.path)


def _recognize(name: str, path: str) -> ImagesDataset | None:
    """Return settings where this kind is asked for: a folder of images may be of any other."""
    from openalign.evaluate.datasets import images_alone_reading

    is_meant = name == "images" and images_alone_reading.holds_images(path)
    return ImagesDataset(path=path) if is_meant else None


KIND = DatasetKind(
    settings=ImagesDataset,
    title="images without captions and classes in a folder and those below it, for search alone",
    page="datasets.md",
    is_searched=True,
    read=read,
    image_folder=lambda dataset: dataset.path,
    recognize=_recognize,
)
