"""Reads Oxford-IIIT Pets.

    images/Abyssinian_100.jpg, american_bulldog_1.jpg, ...
    annotations/trainval.txt, test.txt      Abyssinian_100 1 1 1: image, class (1 to 37), species,
                                            number of the breed in its species

A class is called by the breed in its images' names. Lines that begin with `#` are comments.
"""

from openalign.errors import InputError
from openalign.evaluate.datasets.class_names.reading import named_classes
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.datasets.labels.unpacked import PETS
from openalign.evaluate.datasets.reading.labelled import (
    check_listed_once,
    check_names_some,
    check_number,
    first_folder_with,
    labelled_file,
)
from openalign.evaluate.datasets.reading.text import read_lines
from openalign.files import storage

NUM_CLASSES = 37

_LISTS = {"trainval": "annotations/trainval.txt", "test": "annotations/test.txt"}
_FORM = "each line is the image's name, its class, its species and its number in the species"


def read(path: str, *, class_names: str) -> Dataset:
    """Return the images of trainval and test, each in the order of its list.

    Raises:
        InputError: an annotation file is missing or broken.
    """
    root = first_folder_with(path, *PETS, holding=_LISTS["test"])
    images: list[BenchmarkImage] = []
    breeds: dict[int, str] = {}
    for split, file in _LISTS.items():
        url, num_before = storage.join(root, file), len(images)
        for number, line in enumerate(read_lines(url), start=1):
            if line.startswith("#") or not line.strip():
                continue
            cells = line.split()
            if len(cells) != 4:
                raise InputError(f"{url}:{number}: has {len(cells)} words, not 4", hint=_FORM)
            label = check_number(f"{url}:{number}", cells[1], first=1, last=NUM_CLASSES) - 1
            breed = cells[0].rpartition("_")[0]
            if breeds.setdefault(label, breed) != breed:
                raise InputError(
                    f"{url}:{number}: class {label + 1} is {breeds[label]} above, and {breed} here",
                    hint=_FORM,
                )
            image = f"images/{cells[0]}.jpg"
            images.append(labelled_file(root, image, split=split, label=label))
        check_names_some(url, images[num_before:])
    check_listed_once(root, images)
    ids = [breeds.get(label, str(label + 1)) for label in range(max(breeds, default=-1) + 1)]
    own = {breed: breed.replace("_", " ") for breed in breeds.values()}
    return Dataset(
        images=images,
        classes=named_classes(ids, class_names, own=own),
        train_split="trainval",
    )
