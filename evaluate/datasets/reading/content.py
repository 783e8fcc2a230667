"""The fingerprint of a data set: its annotations and its images, wherever they lie."""

from collections.abc import Iterable

from openalign.evaluate.datasets.dataset import Dataset
from openalign.files.storage import sha256_of_all


def content_hash(annotations: Iterable[str], dataset: Dataset) -> str:
    """Return the hash of what a reader read: its files, and every file that holds images.

    Raises:
        InputError: one of them is not there.
    """
    images = dict.fromkeys(image.place.file for image in dataset.images)
    return sha256_of_all([*annotations, *images])
