"""`replaced.jsonl`: the pairs whose image could not be decoded, and gave way to another.

Each rank keeps those that it comes upon until a checkpoint hands them to rank 0, the only one that
writes. So a step asks the ranks for nothing, and the file is the same whatever their number, and
whatever machines they are on. Lines of steps that a killed run had not saved are dropped with
those of its metrics (`journal`), and the steps that are taken again bring them back.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from openalign.files import storage
from openalign.telemetry import JsonLines
from openalign.train.data.pairs import Replaced


class NamedImage(NamedTuple):
    """An image that gave way, and when."""

    step: int
    is_trained: bool
    """Or validated on, which comes before the step."""

    pair: Replaced


def write_named(path: Path, by_rank: Sequence[Sequence[NamedImage]]) -> None:
    """Append what ranks have come upon, in the order of steps and positions; flush it to disk."""
    lines = JsonLines(path)
    # Those of one position are of one rank, which has them in the order in which they were tried.
    for step, _, pair in sorted(chain.from_iterable(by_rank), key=_order_of):
        lines.write(
            step=step,
            position=pair.position,
            key=pair.key,
            shard=pair.place.shard,
            offset=pair.place.offset,
            why=pair.why,
        )
    storage.sync(str(path))
    storage.sync(str(path.parent))


def _order_of(image: NamedImage) -> tuple[int, bool, int]:
    return image.step, image.is_trained, image.pair.position
