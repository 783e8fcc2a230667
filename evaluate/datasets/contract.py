"""What a data-set kind offers: its settings, its reading, and how its form is recognized."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from openalign.evaluate.datasets.dataset import Dataset


class DatasetSettings(Protocol):
    """What the settings of every kind have."""

    @property
    def kind(self) -> str:
        """Name of the kind, as the table has it."""
        ...


S = TypeVar("S", bound=DatasetSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetKind(Generic[S]):
    """One published format."""

    settings: type[S]

    title: str
    """What it is, in a line: the published form and who uses it."""

    page: str
    """The page of `docs/` that says where to get the data and how to lay it out."""

    names: tuple[str, ...] = ()
    """Published data sets of this form, by the names that `--data NAME=PATH` takes."""

    tasks: tuple[str, ...] = ()
    """Task kinds that are measured on it when nobody says which."""

    is_searched: bool = False
    """Whether all of its images are embedded for search when nobody says more."""

    has_train: Callable[[S], bool] | None = None
    """Tell, without reading it, whether a copy has a training split; None where reading is quick.
    Raises InputError."""

    sizes: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    """How many images a whole copy has in each split, by published name."""

    read: Callable[[S], Dataset]
    """Return all images of all splits, in the data set's order. Pixels are not read. Raises
    InputError."""

    image_folder: Callable[[S], str]
    """Return the folder or URL below which the images lie."""

    recognize: Callable[[str, str], S | None] = lambda _name, _path: None
    """Return settings for a data set called `name` at a path, or None if it is not of this form."""

    expand: Callable[[str, str], Mapping[str, S]] = lambda _name, _path: {}
    """Return the benchmarks of a published collection called `name` at a path, by the name of each;
    none where the name is not that of a collection."""
