"""A data set as its reader gives it: images, and what the published form says of them.

A form that says more than this, such as ratings or pairs of words, has a subclass in its own
module. A task that needs the subclass checks for it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageClass:
    """A class of a labelled data set."""

    id: str
    """What the data set calls it: a synset, a number, the name of a folder."""

    names: tuple[str, ...] = ()
    """What prompts call it, the first name first; empty where the data set does not say."""

    @property
    def title(self) -> str:
        """What people read."""
        return self.names[0] if self.names else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Images of all splits, in the published order, and their classes."""

    images: Sequence[BenchmarkImage]

    classes: tuple[ImageClass, ...] = ()
    """In the order of `BenchmarkImage.label`; empty where images have no labels."""

    templates: tuple[str, ...] = ()
    """Prompt templates that the data set's own files bring, `{}` for the class's name."""

    test_split: str = "test"
    """The split that numbers are usually given for."""

    train_split: str = "train"
    """The split whose labels a task may learn from."""

    notes: tuple[str, ...] = ()
    """What the reader left out, a sentence each, for people to read."""

    left_out: frozenset[str] = frozenset()
    """Names of images that the data set has and this run goes without: those that are missing or
    unreadable, and in a fast run most of them. A task drops the queries that name one."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Every split that an image is in, in the order of the images."""
        return tuple(dict.fromkeys(image.split for image in self.images))

    @property
    def beside_images(self) -> tuple[str, ...]:
        """What there is beside images, captions and classes, in words: `999 pairs of words`."""
        return ()

    @property
    def has_train(self) -> bool:
        """Whether there are images to learn from beside those that numbers are given for."""
        return self.train_split != self.test_split and {self.train_split, self.test_split} <= set(
            self.splits
        )

    def title_of(self, image: BenchmarkImage) -> str:
        """Return its first caption with a word, else its class; empty where it has neither."""
        of_class = "" if image.label is None else self.classes[image.label].title
        return next((caption for caption in image.captions if caption.strip()), of_class)

    def keeping(self, places: Sequence[int]) -> Self:
        """Return the data set with only the images at these ascending places.

        A subclass that refers to images or captions by their places must see to it that it still
        does, and drops what refers to an image that is left out.
        """
        return replace(self, images=[self.images[at] for at in places])

    def content(self) -> list[Any]:
        """Return all that numbers depend on beside the images' bytes, for a hash.

        A subclass adds what it says more.
        """
        images = [[i.name, i.split, list(i.captions), i.label] for i in self.images]
        return [images, [[each.id, list(each.names)] for each in self.classes]]


D = TypeVar("D", bound=Dataset)


def without_images(dataset: D, names: Collection[str]) -> D:
    """Return a data set without the images of these names."""
    places = [at for at, image in enumerate(dataset.images) if image.name not in names]
    return replace(dataset.keeping(places), left_out=dataset.left_out.union(names))


def check_splits(dataset: Dataset, splits: Collection[str], *, of: str) -> None:
    """Refuse splits that no image is in; `of` says whose splits they are.

    Raises:
        InputError: names the split that is missing and those that are there.
    """
    present = dataset.splits
    for split in splits:
        if split not in present:
            raise InputError(
                f"{of}: no image is in split `{split}`", hint=f"splits are: {', '.join(present)}"
            )


def check_labels(dataset: Dataset, splits: Collection[str], *, of: str) -> None:
    """Refuse a data set without classes, and an image of these splits without one.

    Raises:
        InputError: says what has no label.
    """
    if not dataset.classes:
        raise InputError(
            f"{of}: its images have no classes",
            hint="this task needs a labelled data set, such as one of class folders",
        )
    for image in dataset.images:
        if image.split in splits and image.label is None:
            raise InputError(f"{of}: image {image.name} of split `{image.split}` has no class")


def check_captions(dataset: Dataset, splits: Collection[str], *, of: str) -> None:
    """Refuse an image of these splits without a caption.

    Raises:
        InputError: names the first such image.
    """
    for image in dataset.images:
        if image.split in splits and not image.captions:
            raise InputError(
                f"{of}: image {image.name} of split `{image.split}` has no caption",
                hint="this task needs a data set with captions, such as Karpathy's JSON",
            )


def check_names(dataset: Dataset, *, of: str) -> None:
    """Refuse a class that prompts have no name for.

    Raises:
        InputError: names the class.
    """
    for each in dataset.classes:
        if not each.names:
            raise InputError(
                f"{of}: class `{each.id}` has no name, so there is no prompt for it",
                hint="say what classes are called: `class_names:` of the data set, or --set "
                "benchmarks.NAME.class_names=LIST, with a known list such as `imagenet`, or a file",
            )
