"""The painted squares as a labelled data set, for every test of a task that needs classes."""

from pathlib import Path

from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile

CLASSES = (
    ImageClass(id="0", names=("a <b>warm</b> color",)),
    ImageClass(id="1", names=("a cold color", "blue | green")),
    ImageClass(id="2", names=("gray",)),
)
COLORS = {
    "red": ("test", 0),
    "green": ("test", 1),
    "blue": ("train", 1),
    "yellow": ("test", 0),
    "black": ("train", 2),
    "gray": ("test", 2),
    "purple": ("train", 0),
    "orange": ("train", 0),
}


def labelled_squares(folder: Path) -> Dataset:
    """Return the squares of a benchmark's folder in three classes, four of either split."""
    return Dataset(
        images=[
            BenchmarkImage(
                name=f"{color}.png",
                split=split,
                place=ImageFile(f"{folder}/images", f"{color}.png"),
                label=label,
            )
            for color, (split, label) in COLORS.items()
        ],
        classes=CLASSES,
    )
