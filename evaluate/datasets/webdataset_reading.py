r"""Reads tars of samples: clip_benchmark's layout, and plain webdataset folders.

    <root>/classnames.txt                           a class a line, in the order of the labels
    <root>/zeroshot_classification_templates.txt    a template a line, `{c}` for the class
    <root>/dataset_type.txt                         `retrieval`; `classification` when missing
    <root>/test/nshards.txt                         how many tars there are
    <root>/test/0.tar, 1.tar, ...                   s0000001.webp and s0000001.cls or .txt, ...

A sample's files are next to each other and share the name up to the first dot. `.cls` is a number,
`.txt` a caption a line, in which clip_benchmark writes a caption's own line end as `\n`. A plain
folder has the tars themselves, which are the split `test`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.datasets.reading.captions import CaptionChecker
from openalign.evaluate.datasets.reading.tars import Member, members
from openalign.evaluate.datasets.reading.text import decode_text, read_lines
from openalign.files import storage
from openalign.files.tars import sample_name

CLASSES, CAPTIONS = "classification", "retrieval"
"""What `dataset_type.txt` says; `multilabel` is the third, and is not read."""

_NAMES_FILE = "classnames.txt"
_TEMPLATES_FILE = "zeroshot_classification_templates.txt"
_TYPE_FILE = "dataset_type.txt"
_SHARDS_FILE = "nshards.txt"
_USUAL_SPLITS = ("train", "val", "test")
"""Where nothing can be listed, as on a web server."""

_IMAGES = ("webp", "png", "jpg", "jpeg", "gif", "bmp", "tif", "tiff", "avif")
_LABEL, _TEXT = "cls", "txt"


@dataclass(slots=True)
class _TarSample:
    """Files of one name in a tar."""

    split: str
    tar: str
    key: str
    files: dict[str, Member] = field(default_factory=dict[str, Member])
    """By suffix, in lower case."""

    @property
    def where(self) -> str:
        """What an error calls it."""
        return f"{self.tar}: sample {self.key}"

    @property
    def image(self) -> Member:
        """Its image, in the first of the formats that it has."""
        found = next((self.files[each] for each in _IMAGES if each in self.files), None)
        if found is None:
            raise InputError(
                f"{self.where} has no image",
                hint=f"it has {', '.join(self.files)}; images are {', '.join(_IMAGES)}",
            )
        return found

    def text(self, suffix: str, *, hint: str) -> str:
        """Return the content of its file of this suffix."""
        member = self.files.get(suffix)
        if member is None:
            raise InputError(f"{self.where} has no .{suffix}", hint=hint)
        assert member.content is not None, "it was asked for"
        return decode_text(f"{self.tar}: {member.name}", member.content)


def read_labelled(root: str) -> Dataset:
    """Return every image with its class.

    Raises:
        InputError: the folder holds no such tars, a sample is broken, or a label has no class.
    """
    _check_type(root, CLASSES)
    names = _side_lines(root, _NAMES_FILE)
    for number, name in enumerate(names, start=1):
        if not name:
            raise InputError(f"{storage.join(root, _NAMES_FILE)}:{number}: a class has no name")
    images = [
        BenchmarkImage(
            name=_name(root, sample),
            split=sample.split,
            place=sample.image.place,
            label=_label(sample, len(names)),
        )
        for sample in _samples(root)
    ]
    highest = max((image.label or 0 for image in images), default=0)
    classes = [ImageClass(id=str(number), names=(name,)) for number, name in enumerate(names)]
    return Dataset(
        images=images,
        classes=tuple(classes or [ImageClass(id=str(number)) for number in range(highest + 1)]),
        templates=tuple(_templates(root)),
    )


def read_captioned(root: str, *, max_captions: int) -> Dataset:
    """Return every image with its captions.

    Raises:
        InputError: the folder holds no such tars, or a sample is broken.
    """
    _check_type(root, CAPTIONS)
    checker = CaptionChecker(root, max_captions)
    images: list[BenchmarkImage] = []
    for sample in _samples(root):
        name = _name(root, sample)
        captions, _ = checker.check(name, _captions(sample))
        images.append(
            BenchmarkImage(
                name=name, split=sample.split, place=sample.image.place, captions=captions
            )
        )
    return Dataset(images=images, notes=checker.notes())


def side_files(root: str) -> list[str]:
    """Return the files beside the tars that say what the images are."""
    named = (storage.join(root, name) for name in (_NAMES_FILE, _TEMPLATES_FILE, _TYPE_FILE))
    return [file for file in named if storage.exists(file)]


def content_of(root: str) -> str:
    """Return what the first sample has, `CLASSES` or `CAPTIONS`; or nothing. It raises nothing."""
    try:
        tar = next(tar for tars in _tars(root).values() for tar in tars)
        suffixes = {_suffix(member.name) for member in islice(members(tar), 8)}
    except Exception:  # noqa: BLE001  # every driver has errors of its own; reading will tell
        return ""
    if not suffixes & set(_IMAGES):
        return ""
    return CLASSES if _LABEL in suffixes else CAPTIONS if _TEXT in suffixes else ""


def _samples(root: str) -> Iterator[_TarSample]:
    """Yield all samples, in the order of the tars."""
    found = _tars(root)
    if loose := [tar for tar in _tars_in(root) if not any(tar in tars for tars in found.values())]:
        raise InputError(
            f"{loose[0]} lies beside the folders of splits, in none of them",
            hint="move it into the folder of its split, or elsewhere",
        )
    for split, tars in found.items():
        num_samples = 0
        for tar in tars:
            for sample in _samples_of(tar, split):
                num_samples += 1
                yield sample
        if not num_samples:
            raise InputError(f"{root}: the tars of split `{split}` hold no sample")


def _samples_of(tar: str, split: str) -> Iterator[_TarSample]:
    """Yield the samples of a tar. Their labels and captions are read.

    Raises:
        InputError: the tar is not there, or broken.
    """
    if not storage.exists(tar):
        raise InputError(
            f"{tar} is not there, but {_SHARDS_FILE} beside it counts it",
            hint="fetch the rest of the data set",
        )
    sample = _TarSample(split, tar, "")
    for member in members(tar, with_content=lambda name: _suffix(name) in (_LABEL, _TEXT)):
        found = sample_name(member.name)
        if found is None:
            continue
        key, suffix = found
        if key != sample.key:
            if sample.files:
                yield sample
            sample = _TarSample(split, tar, key)
        if suffix in sample.files:
            raise InputError(f"{sample.where} has two files .{suffix}")
        sample.files[suffix] = member
    if sample.files:
        yield sample


def _name(root: str, sample: _TarSample) -> str:
    """Return what an image is called: its tar below the root, and its file in the tar."""
    return f"{sample.tar.removeprefix(root.rstrip('/') + '/')}/{sample.image.name}"


def _suffix(name: str) -> str:
    found = sample_name(name)
    return found[1] if found else ""


def _label(sample: _TarSample, num_classes: int) -> int:
    """Return a sample's class; `num_classes` is 0 where nothing says how many there are."""
    hint = "tars of captions are of kind webdataset_captions; several labels an image are not read"
    text = sample.text(_LABEL, hint=hint).strip()
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InputError(f"{sample.where}: a label must be a number, got {text!r}")
    if num_classes and int(text) >= num_classes:
        raise InputError(
            f"{sample.where}: label {text} has no line in {_NAMES_FILE}, which has {num_classes}"
        )
    return int(text)


def _captions(sample: _TarSample) -> list[str]:
    text = sample.text(_TEXT, hint="tars of images with classes are of kind webdataset")
    lines = text.removesuffix("\n").split("\n")
    return [line.replace("\\n", " ") for line in lines]


def _tars(root: str) -> Mapping[str, list[str]]:
    """Return the tars of each split, in the order in which they were written."""
    try:
        names, _ = storage.list_folder(root)
    except (InputError, OSError, NotImplementedError):
        names = list(_USUAL_SPLITS)
    found = {name: _tars_in(storage.join(root, name)) for name in names if name[0] != "."}
    found = {split: tars for split, tars in found.items() if tars} or {"test": _tars_in(root)}
    if not any(found.values()):
        raise InputError(
            f"{root}: holds no tars",
            hint="name the folder that holds test/0.tar, test/1.tar and so on, or the tars",
        )
    return found


def _tars_in(folder: str) -> list[str]:
    """Return a folder's tars: as many as `nshards.txt` says, or all of them."""
    shards = storage.join(folder, _SHARDS_FILE)
    if storage.exists(shards):
        text = "\n".join(read_lines(shards)).strip()
        if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
            raise InputError(f"{shards}: must be the number of tars, got {text!r}")
        return [storage.join(folder, f"{number}.tar") for number in range(int(text))]
    try:
        names = storage.list_names(folder) if storage.is_folder(folder) else []
    except (OSError, NotImplementedError):
        names = []
    tars = [name for name in names if name.lower().endswith(".tar")]
    return [storage.join(folder, name) for name in sorted(tars, key=_in_number_order)]


def _in_number_order(name: str) -> list[tuple[int, str]]:
    """Return a key by which `2.tar` comes before `10.tar`."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def _check_type(root: str, wanted: str) -> None:
    lines = _side_lines(root, _TYPE_FILE)
    said = lines[0].lower() if lines else wanted
    if said != wanted:
        kinds = {CLASSES: "write `kind: webdataset`", CAPTIONS: "write `kind: webdataset_captions`"}
        raise InputError(
            f"{storage.join(root, _TYPE_FILE)}: is of type `{said}`, this kind reads `{wanted}`",
            hint=kinds.get(said, "data sets with several labels an image are not read"),
        )


def _templates(root: str) -> Iterator[str]:
    for number, line in enumerate(_side_lines(root, _TEMPLATES_FILE), start=1):
        if not line:
            continue
        before, _, after = line.partition("{c}")
        if "{c}" not in line or {"{", "}"} & {*before, *after}:
            raise InputError(
                f"{storage.join(root, _TEMPLATES_FILE)}:{number}: must have `{{c}}` once and no "
                f"other braces, got {line!r}"
            )
        yield before + "{}" + after


def _side_lines(root: str, name: str) -> list[str]:
    """Return the lines of a file beside the tars, without empty ones at the end."""
    file = storage.join(root, name)
    if not storage.exists(file):
        return []
    lines = [line.strip() for line in read_lines(file)]
    while lines and not lines[-1]:
        lines.pop()
    return lines
