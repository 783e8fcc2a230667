"""What a copy of a data set holds, split by split, and what it lacks; no image is opened."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.datasets.kinds import kind_of
from openalign.evaluate.datasets.recognition import recognized, require_kind
from openalign.files.hash_cache import missing_files

_NAMED = 5
"""Missing images that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found."""

    lines: Sequence[str]
    problem: str
    """What is wrong; empty where nothing is."""


def check(path: str, name: str = "") -> Checked:
    """Read a data set, and look for every image; `name` is its kind or its published name.

    Raises:
        ConfigError: there is no such name.
        InputError: there is nothing at the path, it is of no known form, or it cannot be read.
    """
    if name:
        require_kind(name)
    settings = recognized(name, path)
    kind = kind_of(settings)
    dataset = kind.read(settings)
    files = [image.place.file for image in dataset.images]
    gone = set(missing_files(files))
    missing = [i for i, file in zip(dataset.images, files, strict=True) if file in gone]
    lines = [f"{settings.kind}: {kind.title}", "", *_table(dataset, missing)]
    if not missing:
        return Checked(lines=lines, problem="")
    named = "".join(f"\n  {image.where}" for image in missing[:_NAMED])
    more = f"\n  and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
    return Checked(
        lines=lines,
        problem=f"{len(missing):,} of {len(files):,} images are not there:{named}{more}",
    )


def _table(dataset: Dataset, missing: Sequence[BenchmarkImage]) -> list[str]:
    """Return a line a split: its images, how many are missing, their captions and classes."""
    lines = [f"{'split':16} {'images':>10} {'missing':>10} {'captions':>10} {'classes':>10}"]
    for split in dataset.splits:
        images = [image for image in dataset.images if image.split == split]
        num_missing = sum(image.split == split for image in missing)
        num_captions = sum(len(image.captions) for image in images)
        num_classes = len({image.label for image in images if image.label is not None})
        lines.append(
            f"{split:16} {len(images):>10,} {num_missing:>10,} {num_captions:>10,} "
            f"{num_classes:>10,}"
        )
    return lines
