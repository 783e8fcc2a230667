"""Reads the Describable Textures Dataset.

images/banded/banded_0002.jpg, ...
labels/train1.txt, val1.txt, test1.txt      banded/banded_0002.jpg: the first of ten partitions
"""

from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.listed_images import ListedImages, dataset_of_lists
from openalign.evaluate.datasets.labels.unpacked import DTD
from openalign.evaluate.datasets.reading.labelled import first_folder_with
from openalign.evaluate.datasets.reading.text import read_lines
from openalign.files import storage


def read(path: str, *, partition: int, class_names: str) -> Dataset:
    """Return the images of train, val and test of a partition, each in the order of its list.

    Raises:
        InputError: a list is missing or broken.
    """
    root = first_folder_with(path, *DTD, holding=f"labels/train{partition}.txt")
    listed = {
        split: _listed(storage.join(root, "labels", f"{split}{partition}.txt"))
        for split in ("train", "val", "test")
    }
    return dataset_of_lists(root, listed, class_names=class_names)


def _listed(url: str) -> ListedImages:
    return ListedImages(url=url, images=[line.strip() for line in read_lines(url)])
