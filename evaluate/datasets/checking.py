"""What a copy of a data set holds, split by split, and what it lacks; no image is opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openalign.errors import ConfigError
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.datasets.kinds import kind_of
from openalign.evaluate.datasets.recognition import recognized, require_known
from openalign.files.found_names import otherwise_composed
from openalign.files.hash_cache import missing_files
from openalign.settings.fields import to_plain
from openalign.settings.yaml_reader import read_plain

_NAMED = 5
"""Missing images that are named."""

_ELSEWHERE = "if the images lie elsewhere, name their folder: --images FOLDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCount:
    """What a copy holds of a split."""

    split: str
    images: int
    """Images that the data set names, those that are missing among them."""

    missing: int
    captions: int
    classes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCopy:
    """What a copy holds."""

    name: str
    """What the data set was called; empty where nobody said."""

    kind: str
    title: str
    """What the kind is, in a line."""

    splits: Sequence[SplitCount]
    """Empty where there are no images."""

    beside_images: Sequence[str]
    """What else there is, a sentence each."""

    notes: Sequence[str]
    """What the reader left out, a sentence each."""

    problems: Sequence[str]
    """What is wrong; none where nothing is."""

    hint: str = ""
    """What may help; empty where there is nothing to say."""


def check(path: str, name: str = "", changes: Sequence[str] = ()) -> list[CheckedCopy]:
    """Read a data set, or each one of a collection, and look for every image.

    Args:
        path: where it lies.
        name: the kind's or that of a published data set; the latter tells how large it must be.
        changes: settings of its kind that the path does not tell, each `KEY=VALUE`.

    Raises:
        ConfigError: there is no such name, or its kind has no such setting.
        InputError: there is nothing at the path, it is of no known form, or it cannot be read.
    """
    if name:
        require_known(name)
    return [
        _checked(each, _changed(settings, changes))
        for each, settings in recognized(name, path).items()
    ]


def _changed(settings: DatasetSettings, changes: Sequence[str]) -> DatasetSettings:
    """Return settings with others laid over them."""
    plain = to_plain(settings)
    names = [name for name in plain if name != "kind"]
    for change in changes:
        if (key := change.partition("=")[0]) not in names:
            raise ConfigError(
                f"data sets of the kind `{settings.kind}` have no setting `{key}`",
                hint=f"their settings are: {', '.join(names)}",
            )
    return read_plain(type(settings), plain, settings.kind, changes)


def _checked(name: str, settings: DatasetSettings) -> CheckedCopy:
    kind = kind_of(settings)
    dataset = kind.read(settings)
    files = [image.place.file for image in dataset.images]
    gone = set(missing_files(files))
    missing = [i for i, file in zip(dataset.images, files, strict=True) if file in gone]
    problems = _other_sizes(dataset, kind.sizes.get(name, {}))
    if missing:
        problems.append(_missing(missing, len(files)))
    return CheckedCopy(
        name=name,
        kind=settings.kind,
        title=kind.title,
        splits=_splits(dataset, missing),
        beside_images=dataset.beside_images,
        notes=dataset.notes,
        problems=problems,
        hint=otherwise_composed(image.place.file for image in missing[:_NAMED])
        or (_ELSEWHERE if missing and hasattr(settings, "images") else ""),
    )


def _other_sizes(dataset: Dataset, sizes: Mapping[str, int]) -> list[str]:
    """Say which splits have another number of images than the published data set."""
    return [
        f"split `{split}` has {found:,} images, {size:,} were published"
        for split, size in sizes.items()
        if (found := sum(image.split == split for image in dataset.images)) != size
    ]


def _missing(missing: Sequence[BenchmarkImage], num_images: int) -> str:
    lines = [f"{len(missing):,} of {num_images:,} images are not there:"]
    lines += [f"  {image.where}" for image in missing[:_NAMED]]
    if len(missing) > _NAMED:
        lines.append(f"  and {len(missing) - _NAMED:,} more")
    return "\n".join(lines)


def _splits(dataset: Dataset, missing: Sequence[BenchmarkImage]) -> list[SplitCount]:
    found: list[SplitCount] = []
    for split in dataset.splits:
        images = [image for image in dataset.images if image.split == split]
        found.append(
            SplitCount(
                split=split,
                images=len(images),
                missing=sum(image.split == split for image in missing),
                captions=sum(len(image.captions) for image in images),
                classes=len({image.label for image in images if image.label is not None}),
            )
        )
    return found
