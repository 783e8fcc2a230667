"""What results say of single classes: how often each is hit, and which are taken for each other."""

import msgspec

TOP_AT = (1, 5)
"""The K of the paper's tables of classification."""

MEAN_PER_CLASS = "mean_per_class"


class ClassScore(msgspec.Struct, frozen=True, kw_only=True):
    """How one class fared."""

    title: str
    num_images: int
    hit_at_1: float
    """Share of its images that are hit at the first place."""

    hit_at_5: float

    taken_for: str = ""
    """The class that its misses were taken for most often; empty where none was missed."""

    num_taken: int = 0
    """How many of them."""


class ConfusedPair(msgspec.Struct, frozen=True, kw_only=True):
    """A class whose images were taken for another."""

    title: str
    taken_for: str
    num_taken: int
    num_images: int
    """Images of the class."""

    image: str
    """One that was taken for the other."""

    other: str
    """An image of the other class; empty where there is none."""


class ClassifiedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image and the classes that came first for it."""

    image: str
    title: str
    """Its class."""

    rank: int
    """Place of its class; 1 is the first."""

    first: tuple[str, ...]


class ClassifiedExamples(msgspec.Struct, frozen=True, kw_only=True):
    """Some images, every class, and the classes that were confused most often."""

    images: tuple[ClassifiedImage, ...]
    classes: tuple[ClassScore, ...]
    confused: tuple[ConfusedPair, ...]
