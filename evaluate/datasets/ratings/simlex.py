"""SimLex-999: pairs of words that people rated for similarity: settings.

The reading lies in `simlex_reading`.
"""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.ratings.word_pairs import WordPairs
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class SimLexDataset:
    """SimLex-999's pairs of words (App. B, Table 12). It has no images."""

    kind: Literal["simlex"] = "simlex"
    """Which format: SimLex-999's text file."""

    path: str = location()
    """The file `SimLex-999.txt`, or the folder it unpacks to; a path or URL."""


def read(dataset: SimLexDataset) -> WordPairs:
    """Return the pairs, in the file's order.

    Raises:
        InputError: the file is not SimLex's, or a line of it is broken.
    """
    from openalign.evaluate.datasets.ratings import simlex_reading

    return simlex_reading.read(dataset.path)


def recognize(_: str, path: str) -> SimLexDataset | None:
    """Return settings for a file that begins with SimLex's columns, or the folder of one."""
    from openalign.evaluate.datasets.ratings import simlex_reading

    return SimLexDataset(path=path) if simlex_reading.is_simlex(path) else None


KIND = DatasetKind(
    settings=SimLexDataset,
    title="SimLex-999: pairs of words rated for similarity",
    page="datasets.md",
    names=("simlex999",),
    tasks=("word_similarity",),
    read=read,
    image_folder=lambda dataset: dataset.path,
    recognize=recognize,
)
