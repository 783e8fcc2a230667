"""Reads ObjectNet.

    images/<folder>/*.png
    mappings/folder_to_objectnet_label.json     {"alarm_clock": "Alarm clock", ...}: 313 classes
    mappings/objectnet_to_imagenet_1k.json      {"Alarm clock": "analog clock; digital clock", ...}:
                                                the 113 of them that ImageNet has too

The classes are the folders in sorted order. Each image has a border of red pixels, put there so
that the test images can be found where they were trained on; it is cut off before decoding ends.
"""

from dataclasses import dataclass

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.class_names.reading import named_classes
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile, ImagePlace
from openalign.evaluate.datasets.labels.unpacked import OBJECTNET
from openalign.evaluate.datasets.reading.image_folders import list_class_folder, list_images
from openalign.evaluate.datasets.reading.labelled import first_folder_with
from openalign.evaluate.datasets.reading.pixels import pixels_of, to_png
from openalign.evaluate.datasets.reading.text import read_json
from openalign.files import storage

_LABELS = "mappings/folder_to_objectnet_label.json"
_SHARED = "mappings/objectnet_to_imagenet_1k.json"
_FORM = 'ObjectNet\'s maps are {"text": "text", ...}'
_MAP = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True)
class BorderedImage:
    """An image whose outermost pixels are no part of it."""

    place: ImagePlace
    border_px: int

    @property
    def file(self) -> str:
        """URL of the file that holds it."""
        return self.place.file

    def read(self) -> bytes:
        """Return the image without its border, as a PNG.

        Raises:
            InputError: it is not there, is no image, or is smaller than its border.
        """
        pixels = pixels_of(self.place)
        height_px, width_px = pixels.shape[:2]
        border_px = self.border_px
        if min(height_px, width_px) <= 2 * border_px:
            raise InputError(
                f"{self.file} has {width_px} x {height_px} pixels, and a border of {border_px} is "
                "to be cut off each side",
                hint="set `border_px` to 0 for images without a border",
            )
        inside = slice(border_px, height_px - border_px), slice(border_px, width_px - border_px)
        return to_png(pixels[inside])


def read(path: str, *, only_shared: bool, border_px: int, class_names: str) -> Dataset:
    """Return the images of the classes that are wanted, as one split.

    Raises:
        InputError: a map is missing or broken, or names a folder that is not there.
    """
    root = first_folder_with(path, *OBJECTNET, holding=_LABELS)
    label_of = read_json(storage.join(root, _LABELS), _MAP, form=_FORM)
    wanted = _shared_folders(root, label_of) if only_shared else sorted(label_of)
    present = set(list_images(storage.join(root, "images")).folders)
    images: list[BenchmarkImage] = []
    for number, folder in enumerate(wanted):
        if folder not in present:
            raise InputError(
                f"{storage.join(root, 'images', folder)} is not there, and {_LABELS} names it",
                hint="unpack all of ObjectNet's archives",
            )
        for name in list_class_folder(storage.join(root, "images", folder)):
            below = f"images/{folder}/{name}"
            images.append(
                BenchmarkImage(
                    name=below,
                    split="test",
                    place=_place(ImageFile(root, below), border_px),
                    label=number,
                )
            )
    own = {folder: label.lower() for folder, label in label_of.items()}
    classes = named_classes(wanted, class_names, own=own)
    return Dataset(images=images, classes=classes, train_split="test")


def _place(file: ImageFile, border_px: int) -> ImagePlace:
    return BorderedImage(file, border_px) if border_px else file


def _shared_folders(root: str, label_of: dict[str, str]) -> list[str]:
    """Return the folders of the classes that ImageNet has too."""
    url = storage.join(root, _SHARED)
    shared = read_json(url, _MAP, form=_FORM)
    folder_of = {label: folder for folder, label in label_of.items()}
    for label in shared:
        if label not in folder_of:
            raise InputError(f"{url}: `{label}` is no class of {_LABELS}", hint=_FORM)
    return sorted(folder_of[label] for label in shared)
