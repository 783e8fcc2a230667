"""What a run was begun with and does not need: results that were not completed."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.locks import holder_of
from openalign.run.contract import Run
from openalign.run.stages import STAGES


@dataclass(frozen=True, slots=True)
class Leftover:
    """A result that was begun and not completed."""

    stage: str
    url: str
    num_bytes: int


def leftovers(run: Run) -> list[Leftover]:
    """Return what could be removed, in the order of the stages; nothing of a stage at work.

    A stage that goes on, goes on from such a folder: without it, it begins anew.
    """
    storage.check_reachable(run.config.root)
    return [
        Leftover(name, url, _num_bytes(url))
        for name in STAGES
        if not holder_of(run.folder(name).lock_url)
        for url in run.folder(name).partial_urls()
    ]


def remove(run: Run, found: list[Leftover]) -> Iterator[Leftover]:
    """Remove what was found, and yield what is gone; a stage that runs by now keeps its own."""
    for each in found:
        with suppress(StageError), run.folder(each.stage).locked(patience_seconds=0.0):
            storage.remove(each.url)
            yield each


def _num_bytes(url: str) -> int:
    names = storage.list_files(url)
    return sum(storage.size_of(storage.join(url, name)) for name in names)
