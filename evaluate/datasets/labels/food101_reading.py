"""Reads Food-101.

    images/apple_pie/1005649.jpg, ...
    meta/train.json, test.json      {"apple_pie": ["apple_pie/1005649", ...], ...}
    meta/train.txt, test.txt        apple_pie/1005649: the same images in the same order

The lists of JSON are read, or the lists of text where there are none.
"""

import msgspec

from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.listed_images import ListedImages, dataset_of_lists
from openalign.evaluate.datasets.labels.unpacked import FOOD101
from openalign.evaluate.datasets.reading.labelled import first_folder_with
from openalign.evaluate.datasets.reading.text import read_json, read_lines
from openalign.files import storage

_FORM = 'the list is {"apple_pie": ["apple_pie/1005649", ...], ...}'
_LISTS = msgspec.json.Decoder(dict[str, list[str]])


def read(path: str, *, class_names: str) -> Dataset:
    """Return the images of train and test, each in the order of its list.

    Raises:
        InputError: a list is missing or broken.
    """
    root = first_folder_with(path, *FOOD101, holding="meta")
    listed = {split: _listed(root, split) for split in ("train", "test")}
    return dataset_of_lists(root, listed, class_names=class_names)


def _listed(root: str, split: str) -> ListedImages:
    """Return a split's images as its list calls them, with their suffix."""
    url = storage.join(root, "meta", f"{split}.json")
    if storage.exists(url):
        by_class = read_json(url, _LISTS, form=_FORM)
        names = [image for images in by_class.values() for image in images]
    else:
        url = storage.join(root, "meta", f"{split}.txt")
        names = read_lines(url)
    return ListedImages(url=url, images=[f"{name.strip()}.jpg" for name in names])
