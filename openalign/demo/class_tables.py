"""The demo's tables of classes: images by Unicode's groups, and by skin tone.

In both, `test` holds what the retrieval benchmark asks for, its splits `test` and `hard`. Training
saw none of these images, and no recipe was chosen by them. `train` holds all others.
"""

import csv
import io
from collections.abc import Mapping, Sequence

from openalign.demo.openmoji import OpenMojiImage

GROUP_NAMES = {
    "Activities": ["sport", "game"],
    "Animals & Nature": ["animal", "plant"],
    "Component": ["skin tone", "hair"],
    "Flags": ["flag"],
    "Food & Drink": ["food", "drink"],
    "Objects": ["object", "tool"],
    "People & Body": ["person", "hand"],
    "Smileys & Emotion": ["face", "heart"],
    "Symbols": ["symbol", "button"],
    "Travel & Places": ["vehicle", "building"],
}
"""What a user might call each group in prompts: everyday words for what its images show."""


def group_table(images: Sequence[OpenMojiImage], splits: Mapping[str, str]) -> str:
    """Return every image that has a group, in the order of the retrieval benchmark."""
    return _table([(image, image.group) for image in images if image.group], splits)


def tone_table(images: Sequence[OpenMojiImage], splits: Mapping[str, str]) -> str:
    """Return the images with one skin tone; a class is called as names of images say it."""
    toned = [(image, f"{image.tones[0]} skin tone") for image in images if len(image.tones) == 1]
    return _table(toned, splits)


def _table(classes: Sequence[tuple[OpenMojiImage, str]], splits: Mapping[str, str]) -> str:
    rows = [
        (f"{image.code}.png", class_, "test" if splits[image.code] in ("test", "hard") else "train")
        for image, class_ in classes
    ]
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("image", "class", "split"), *rows])
    return table.getvalue()
