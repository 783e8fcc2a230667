"""A table of images and their classes, as people keep them: settings; the reading is beside."""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.shared import LABEL_TASKS, PAGE, quietly
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTableDataset:
    """A CSV or TSV table with a row an image: its path, its class and its split."""

    kind: Literal["class_table"] = "class_table"
    """Which format: a table of classes."""

    path: str = location()
    """The table: `.csv` has commas, `.tsv` has tabs, packed (`.gz`) or not. Its first row has the
    columns' names; a cell may stand in double quotes. A path or URL."""

    images: str = location("")
    """Folder or URL below which the images lie; the table's own folder when empty."""

    image_column: str = "image"
    """Column with the path of the image, below the folder of images."""

    class_column: str = "class"
    """Column with the class."""

    split_column: str = "split"
    """Column with the split. When empty, all images are in the split `test`."""

    class_names: str = location("")
    """What prompts call the classes: a known list such as `pets`, or a file with a name a line
    (`.txt`) or the names by class (`.json`); the classes of the table when empty."""

    def __post_init__(self) -> None:
        columns = {
            "image_column": self.image_column,
            "class_column": self.class_column,
            "split_column": self.split_column,
        }
        for name, column in columns.items():
            if not column and name != "split_column":
                raise ValueError(f"{name} must be a column's name, got none")
            if column != column.strip():
                raise ValueError(f"{name} must have no space around it, got {column!r}")
        if len(set(columns.values())) < len(columns):
            raise ValueError(
                "image_column, class_column and split_column must be different columns, got "
                f"{', '.join(columns.values())}"
            )


def read(dataset: ClassTableDataset) -> Dataset:
    """Return every image of the table with its class, in the order of the rows.

    Raises:
        InputError: a column is missing, a cell is empty, or a row breaks the form.
    """
    from openalign.evaluate.datasets.labels import class_table_reading

    return class_table_reading.read(
        dataset.path,
        folder=image_folder(dataset),
        columns=class_table_reading.Columns(
            image=dataset.image_column, class_=dataset.class_column, split=dataset.split_column
        ),
        class_names=dataset.class_names,
    )


def image_folder(dataset: ClassTableDataset) -> str:
    """Return the folder of the images."""
    from openalign.evaluate.datasets.reading.folders import folder_of

    return dataset.images or folder_of(dataset.path)


def _recognize(_name: str, path: str) -> ClassTableDataset | None:
    from openalign.evaluate.datasets.labels import class_table_reading

    file = class_table_reading.table_at(path)
    if not file:
        return None
    columns = class_table_reading.known_columns(file)
    if columns is None:
        return None
    return ClassTableDataset(
        path=file,
        image_column=columns.image,
        class_column=columns.class_,
        split_column=columns.split,
    )


KIND = DatasetKind(
    settings=ClassTableDataset,
    title="a CSV or TSV table with the columns image, class and split",
    page=PAGE,
    tasks=LABEL_TASKS,
    read=read,
    image_folder=image_folder,
    recognize=quietly(_recognize),
)
