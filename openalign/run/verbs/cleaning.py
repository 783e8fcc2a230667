"""What a run was begun with and does not need: results that were not completed."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.leases import leased
from openalign.files.locks import holder_of
from openalign.run.contract import Run
from openalign.run.stages import STAGES
from openalign.telemetry import say


@dataclass(frozen=True, slots=True)
class Leftover:
    """A result that was begun and not completed."""

    stage: str
    url: str
    num_bytes: int


def leftovers(run: Run) -> list[Leftover]:
    """Return what could be removed, in the order of the stages; nothing of one at work here.

    A stage that goes on, goes on from such a folder: without it, it begins anew.
    """
    storage.check_reachable(run.config.root)
    return [
        Leftover(name, url, _num_bytes(url))
        for name in STAGES
        if not holder_of(run.folder(name).lock_url)
        for url in run.folder(name).unsealed_urls()
    ]


def remove(run: Run, found: list[Leftover]) -> Iterator[Leftover]:
    """Remove what was found, and yield what is gone; a stage that is at work keeps its own.

    Of a stage that other machines may make, its lease tells; the one of a killed run expires.
    """
    for each in found:
        folder = run.folder(each.stage)
        try:
            with ExitStack() as held:
                held.enter_context(folder.locked(patience_seconds=0.0))
                if storage.exists(folder.lease_url):
                    lease = leased(folder.lease_url, folder.url, on_loss=lambda: None)
                    held.enter_context(lease)
                if each.url not in folder.unsealed_urls():
                    continue  # it was completed meanwhile
                storage.remove(each.url)
        except StageError as error:
            say(f"{each.url} stays: {error}")
            continue
        yield each


def _num_bytes(url: str) -> int:
    names = storage.list_files(url)
    return sum(storage.size_of(storage.join(url, name)) for name in names)
