"""What ranks that make a stage are told, whichever stage it is, and how rank 0 begins it."""

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TypeVar
from uuid import uuid4

import msgspec

from openalign.errors import in_words, users_mistake
from openalign.files import storage
from openalign.files.leases import Fence, leased
from openalign.files.manifest import WORK, Manifest, StageFolder, StageInputs
from openalign.files.sealed import lost_files
from openalign.telemetry import say, set_up_logging
from openalign.train.local_ranks import end_with_starter

S = TypeVar("S", bound="StageSpec")

_FURTHER = re.compile(r"(?<=\n)(?=\S)(?!hint: )")
"""Where a further line of an error begins that is not indented."""


class StageSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stage is made and what its result depends on; it is the same for every rank."""

    root: str
    stage: str
    """The run's root and the name of the stage's folder in it."""

    inputs: StageInputs
    """What the result depends on, for the manifest."""

    @property
    def folder(self) -> StageFolder:
        """The stage's folder."""
        return StageFolder(self.root, self.stage)

    @property
    def output(self) -> str:
        """URL of the folder in which the result is made."""
        return self.folder.partial_url(self.inputs.fingerprint)

    @property
    def work(self) -> str:
        """URL of the folder for what is dropped when the stage is sealed."""
        return storage.join(self.output, WORK)


def write_spec(url: str, spec: StageSpec) -> None:
    """Write a spec for a rank to read."""
    storage.write_bytes(url, msgspec.json.format(msgspec.json.encode(spec), indent=1) + b"\n")


def read_spec(url: str, kind: type[S]) -> S:
    """Read what `write_spec` wrote."""
    return msgspec.json.decode(storage.read_bytes(url), type=kind)


def begin(spec: StageSpec, held: ExitStack) -> bool:
    """Lock a stage until `held` ends; return False where it is up to date.

    It is not where a file of its result is gone, or not as long as it was.

    Raises:
        StageError: another run is at work on it, or the root cannot be written.
    """
    held.enter_context(spec.folder.locked())
    spec.folder.finish_swap()
    if not _has_lost_files(spec) and _is_up_to_date(spec):
        return False
    storage.check_writable(spec.root)
    return True


def begin_leased(
    spec: StageSpec, held: ExitStack, *, on_loss: Callable[[], None] = lambda: None
) -> Fence | None:
    """Lock a stage against runs of this machine, and hold its lease against those of others.

    Both last until `held` ends. `on_loss` is called, by a thread, if another run takes the lease.
    Nothing is held, and None is returned, where the stage is up to date.

    Raises:
        StageError: another run is at work on it, or the root cannot be written.
    """
    held.enter_context(spec.folder.locked())
    if _is_up_to_date(spec):  # before anything is written: the root may be there for reading
        return None
    storage.check_writable(spec.root)
    folder = spec.folder
    fence = held.enter_context(leased(folder.lease_url, folder.url, on_loss=on_loss))
    folder.finish_swap()
    return None if _is_up_to_date(spec) else fence


def _is_up_to_date(spec: StageSpec) -> bool:
    manifest = spec.folder.read()
    if manifest is None or manifest.fingerprint != spec.inputs.fingerprint:
        return False
    say(f"{spec.stage:9} up to date")
    return True


def _has_lost_files(spec: StageSpec) -> bool:
    manifest = spec.folder.read()
    if manifest is None or manifest.fingerprint != spec.inputs.fingerprint:
        return False  # it is made again in any case
    lost = lost_files(spec.folder, manifest)
    for name in lost:
        url = storage.join(spec.folder.url, name)
        say(f"{spec.stage:9} runs again: {url} is gone, or not as long as it was written")
    return bool(lost)


def made_by_ranks(spec: StageSpec, start: Callable[[str], None]) -> Manifest:
    """Write a spec, have ranks started that are told its URL, and return what rank 0 has sealed.

    Raises:
        SystemExit: this process or the ranks were asked to stop.
        StageError: the ranks failed.
    """
    # A name of its own: another starter may be here before rank 0 has locked the stage.
    url = storage.join(spec.work, f"spec-{uuid4().hex}.json")
    write_spec(url, spec)
    try:
        start(url)
    finally:
        storage.remove(url)
    manifest = spec.folder.require()
    assert manifest.fingerprint == spec.inputs.fingerprint, "the ranks sealed another result"
    return manifest


def main_of_rank(argv: Sequence[str], kind: type[S], run: Callable[[S], None]) -> int:
    """Be a rank that was started with the URL of its spec; return its exit code.

    It is 2 for a mistake that a user can mend. Further lines of what it says of one are indented,
    by which a starter knows them.
    """
    end_with_starter()
    set_up_logging()
    try:
        run(read_spec(argv[0], kind))
    except Exception as error:
        if (mistake := users_mistake(error)) is None:
            raise
        sys.stderr.write(f"{_FURTHER.sub('  ', in_words(mistake))}\n")
        return 2
    return 0
