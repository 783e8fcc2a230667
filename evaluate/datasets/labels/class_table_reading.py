"""Reads a table of classes.

    image,class,split
    cats/1.jpg,tabby cat,train
    dogs/7.jpg,"spaniel, water",test

The classes are those of the table, over all splits: in the order of the numbers where all are
numbers, else in sorted order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from openalign.errors import InputError
from openalign.evaluate.datasets.class_names.reading import named_classes, own_names
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.reading.folders import check_inside, glance, only_file
from openalign.evaluate.datasets.reading.image_folders import in_class_order
from openalign.evaluate.datasets.reading.labelled import labelled_file, usual_splits
from openalign.evaluate.datasets.reading.text import csv_header, read_csv, read_text

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_ONLY_SPLIT = "test"

IMAGE_COLUMNS = (
    "image", "image_name", "image_path", "filename", "file_name", "filepath", "file_path", "file",
    "path",
)  # fmt: skip
CLASS_COLUMNS = (
    "class", "class_name", "class_id", "label", "labels", "label_name", "category", "target",
)  # fmt: skip
"""What the columns of a table are called that is known by them, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns are called."""

    image: str
    class_: str
    split: str
    """Empty where the table tells no splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LabeledRow:
    line: int
    image: str
    class_: str
    split: str


def read(path: str, *, folder: str, columns: Columns, class_names: str) -> Dataset:
    """Return every image of the table, in the order of the rows.

    Raises:
        InputError: the table is no CSV or TSV, or lacks a column; a cell is empty; a path leads out
            of the folder; an image has two rows; or a class has no name in `class_names`.
    """
    rows = list(_rows(path, columns))
    if not rows:
        raise InputError(f"{path}: names no image", hint=_form(columns))
    _check_one_row_each(path, rows)
    ids = in_class_order({row.class_ for row in rows})
    label_of = {id_: label for label, id_ in enumerate(ids)}
    test_split, train_split = usual_splits(list(dict.fromkeys(row.split for row in rows)))
    return Dataset(
        images=[
            labelled_file(folder, row.image, split=row.split, label=label_of[row.class_])
            for row in rows
        ],
        classes=named_classes(ids, class_names, own=own_names(ids)),
        test_split=test_split,
        train_split=train_split,
    )


def table_at(path: str) -> str:
    """Return the table that a path names: itself, or the only table in a folder; else nothing."""
    file = only_file(path, *(f"*{end}{packed}" for end in _SEPARATORS for packed in ("", ".gz")))
    return file if separator_of(file) else ""


def known_columns(path: str) -> Columns | None:
    """Return a table's columns where their names tell that it is one of classes.

    Beside `image` and `class` there may be any others; with the other names, a split alone. Capital
    letters do not matter.

    Raises:
        InputError: it is packed and cannot be unpacked.
    """
    text = read_text(path) if path.endswith(".gz") else glance(path)
    names = csv_header(text, separator=separator_of(path))
    by_name = {name.lower(): name for name in reversed(names)}
    split = by_name.get("split", "")
    if not {"image", "class"}.issubset(by_name):
        by_name.pop("split", None)
        if len(by_name) > 2:
            return None
    image, class_ = (
        next((by_name[name] for name in usual if name in by_name), "")
        for usual in (IMAGE_COLUMNS, CLASS_COLUMNS)
    )
    return Columns(image=image, class_=class_, split=split) if image and class_ else None


def separator_of(path: str) -> str:
    """Return what stands between a table's cells, by its name; nothing where it is no table's."""
    name = path.lower().removesuffix(".gz")
    return next((by for end, by in _SEPARATORS.items() if name.endswith(end)), "")


def _rows(path: str, columns: Columns) -> Iterator[_LabeledRow]:
    separator = separator_of(path)
    if not separator:
        raise InputError(
            f"{path}: does not say whether it is CSV or TSV",
            hint="the name of a table ends in .csv, .tsv, .csv.gz or .tsv.gz",
        )
    names = [columns.image, columns.class_, *([columns.split] if columns.split else [])]
    for line, cells in read_csv(path, names, separator=separator, form=_form(columns)):
        for name, cell in zip(names, cells, strict=True):
            if not cell:
                raise InputError(f"{path}:{line}: `{name}` is empty", hint=_form(columns))
        image, class_, split = (*cells, _ONLY_SPLIT)[:3]
        where = f"{path}:{line}: `{columns.image}`"
        if image.startswith("/") or "://" in image:
            raise InputError(
                f"{where} must be a path below the folder of images, got {image!r}",
                hint="name the folder under `images`, and take it off the paths",
            )
        yield _LabeledRow(line=line, image=check_inside(where, image), class_=class_, split=split)


def _check_one_row_each(path: str, rows: Sequence[_LabeledRow]) -> None:
    first: dict[str, _LabeledRow] = {}
    for row in rows:
        before = first.setdefault(row.image, row)
        if before is not row:
            raise InputError(
                f"{path}:{row.line}: {row.image} is in line {before.line} already, as "
                f"`{before.class_}` of `{before.split}`",
                hint="an image has one row, one class and one split",
            )


def _form(columns: Columns) -> str:
    names = [name for name in (columns.image, columns.class_, columns.split) if name]
    return (
        f"a table has a row an image, and the columns {', '.join(names)}; `image_column`, "
        "`class_column` and `split_column` name others"
    )
