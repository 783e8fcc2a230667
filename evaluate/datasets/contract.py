"""What a data-set kind offers: its settings, its reading, and the fingerprint of what it reads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from openalign.evaluate.datasets.images import BenchmarkImage


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

    read: Callable[[S], list[BenchmarkImage]]
    """Return every image with its captions, of all splits, in the data set's order. Pixels are not
    read. Raises InputError."""

    image_folder: Callable[[S], str]
    """Return the folder or URL below which the images lie."""

    fingerprint: Callable[[S], str]
    """Return the hash of all that `read` and the images hold; where they lie does not enter it."""
