"""A stage's manifest and folder: when a result is complete, and how it replaces an older one.

A stage's folder under the run's root is either complete or absent:

    <root>/candidates/              data files, then manifest.json, last of all COMPLETE
    <root>/.candidates.<fingerprint>/   the same, while it is being made

A stage writes into the second folder. When a stage dies, the next run with the same fingerprint
resumes there; a run with other settings makes a folder of its own. When a stage ends, `work/` is
removed and the folder is swapped into place. Each step of the swap can be interrupted and repeated.

A fingerprint is the hash of the stage's settings, its schema version and its inputs' fingerprints.
Ports, clocks, paths, process counts and arrival order are no part of it.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar, cast

import msgspec

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.facts import DamagedFile, Facts
from openalign.files.fingerprints import SCHEMA_VERSION, canonical_json, fingerprint_of
from openalign.files.locks import locked
from openalign.files.names import PAGES_FOR_PEOPLE
from openalign.telemetry import say

MANIFEST = "manifest.json"
COMPLETE = "COMPLETE"
CLEARED = "CLEARED"
"""Marks a folder that is being swapped in, once the old folder is removed."""

ROUND = "round.json"
"""Marks a folder whose files are being added to a complete result."""

WORK = "work"

PATIENCE_SECONDS = 5.0
"""How long a run waits for the lock of another run that may be ending."""


F = TypeVar("F", bound=Facts)


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that belongs to a stage's result."""

    name: str
    """Relative to the stage's folder."""

    num_rows: int
    num_bytes: int
    sha256: str

    @classmethod
    def of(cls, name: str, written: storage.Written | None, *, num_rows: int) -> Self:
        """Return the record of a file that was written."""
        assert written is not None, f"{name} is not written yet"
        return cls(name=name, num_rows=num_rows, num_bytes=written.num_bytes, sha256=written.sha256)


class StageInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage's result depends on."""

    settings: dict[str, Any]
    """Those that can change a byte of the result, as the manifest has them."""

    contents: dict[str, str]
    """Fingerprint of each input, by its name."""

    @property
    def fingerprint(self) -> str:
        """The identity of the result: the hash of all this and of the schema version."""
        return fingerprint_of([SCHEMA_VERSION, self.settings, self.contents])


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """The result that a finished stage returns."""

    num_inputs: int
    """Rows that the stage read (or found, for a crawl)."""

    states: Mapping[str, int]
    """Rows by terminal state; they add up to `num_inputs`."""

    num_outputs: int
    """Rows that the next stage will read; a stage with none stops the run."""

    files: Iterable[DataFile]
    facts: Facts = field(default_factory=Facts)
    """Further facts for the report: resulting thresholds, marginal effects, examples."""

    damaged_files: Sequence[DamagedFile] = ()
    """Files of the input that could not be read, or not to their end. The run names them, and ends
    with exit code 3."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A complete stage, as `manifest.json` has it."""

    stage: str
    schema_version: int
    fingerprint: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    """Fingerprint of each input, by its name."""

    num_inputs: int
    states: dict[str, int]
    num_outputs: int
    files: list[DataFile]
    facts: dict[str, Any]
    """Plain JSON values; `facts_as` returns the record."""

    places: dict[str, str] = {}
    """Where files lie that the result names and does not hold: URLs of folders, by the short names
    that data files have for them. They are no part of any fingerprint."""

    damaged_files: list[DamagedFile] = []
    """Files of the input that could not be read, or not to their end."""

    def content_fingerprint(self) -> str:
        """Return the hash of the data files; it changes exactly when the data changes.

        A page for people is no data: one that looks different makes no stage run again.
        """
        data = [f for f in self.files if f.name not in PAGES_FOR_PEOPLE]
        return fingerprint_of([[f.name, f.num_rows, f.sha256] for f in data])

    def with_file(self, file: DataFile) -> Self:
        """Return the manifest with a file, in the place of one that had its name."""
        others = [f for f in self.files if f.name != file.name]
        return msgspec.structs.replace(self, files=sorted([*others, file], key=lambda f: f.name))

    def names(self, prefix: str) -> list[str]:
        """Return the names of the data files that begin with `prefix`, in order."""
        return [f.name for f in self.files if f.name.startswith(prefix)]

    def facts_as(self, kind: type[F]) -> F:
        """Return the facts as the record of the stage that wrote them."""
        return msgspec.convert(self.facts, kind)


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What is added to a complete result, as `ROUND` has it."""

    manifest: Manifest
    """Of the result with the round."""

    replaced: list[str]
    """Files of the result that belong to it no longer."""


_MANIFEST = msgspec.json.Decoder(Manifest)
_ROUND = msgspec.json.Decoder(Round)


@dataclass(frozen=True, slots=True)
class StageFolder:
    """Where one stage of one run lives."""

    root: str
    name: str
    made_by: str = ""
    """The command that makes it, without `openalign`: `harvest demo`. Empty where nobody knows."""

    @property
    def url(self) -> str:
        """The folder of the complete result."""
        return storage.join(self.root, self.name)

    @property
    def lock_url(self) -> str:
        """The lock that a process holds while it changes the stage."""
        return storage.join(self.root, f".lock-{self.name}")

    @property
    def lease_url(self) -> str:
        """The folder of the lease that a run holds which may go on on another machine."""
        return storage.join(self.root, f".lease-{self.name}")

    def partial_url(self, fingerprint: str) -> str:
        """Return where a result with this fingerprint is made."""
        return storage.join(self.root, f".{self.name}.{fingerprint[:16]}")

    def partial_urls(self) -> list[str]:
        """Return the folders of results that are being made, or were begun and not completed."""
        if not storage.exists(self.root):
            return []
        prefix = f".{self.name}."
        names = [name for name in storage.list_names(self.root) if name.startswith(prefix)]
        return [storage.join(self.root, name) for name in names]

    def unsealed_urls(self) -> list[str]:
        """Return those of `partial_urls` that were begun and not completed.

        The others hold a complete result, or what is added to one: a swap of theirs was cut off.
        """
        marks = (MANIFEST, CLEARED, ROUND)
        return [
            url
            for url in self.partial_urls()
            if not any(storage.exists(storage.join(url, mark)) for mark in marks)
        ]

    def read(self) -> Manifest | None:
        """Return the complete result's manifest, or None when there is none.

        Raises:
            StageError: the manifest does not belong to its completion marker.
        """
        marker = storage.join(self.url, COMPLETE)
        if not storage.exists(marker):
            return None
        manifest = self._read_manifest()
        if storage.read_text(marker).strip() != manifest.fingerprint:
            raise StageError(
                f"{self.url}/{MANIFEST} was changed after the stage ended",
                hint=f"remove {self.url} and run the stage again",
            )
        return manifest

    def require(self) -> Manifest:
        """Return the complete result's manifest.

        Raises:
            StageError: the stage has not been run, or did not end.
        """
        manifest = self.read()
        if manifest is None:
            raise StageError(
                f"{self.url} is not complete",
                hint=f"run `openalign {self.made_by}` first"
                if self.made_by
                else f"run the stage that writes `{self.name}` first, or `openalign run`",
            )
        return manifest

    @contextmanager
    def locked(self, *, patience_seconds: float = PATIENCE_SECONDS) -> Generator[None]:
        """Keep other runs out of this stage until the block, or this process, ends.

        There is one lock a stage, for all settings: a run that seals removes the unfinished
        results of runs with other settings. The call waits a moment for a run that is ending.

        Raises:
            StageError: another run is at work on it.
        """
        busy = f"another run is at work on {self.url}"
        with locked(self.lock_url, busy=busy, patience_seconds=patience_seconds):
            yield

    def finish_swap(self) -> None:
        """Complete a swap that was interrupted after its manifest was written."""
        for partial in self.partial_urls():
            if storage.exists(storage.join(partial, ROUND)):
                self._add(partial)
            elif any(storage.exists(storage.join(partial, mark)) for mark in (MANIFEST, CLEARED)):
                self._swap(partial)
        if storage.exists(storage.join(self.url, CLEARED)):
            storage.remove_unfinished(self.url)  # the marker, if it was being written
            self._mark_complete()

    def seal(
        self,
        result: StageResult,
        inputs: StageInputs,
        *,
        places: Mapping[str, str] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Manifest:
        """Write the manifest beside the data and swap the folder into place.

        `check` is called before each of the two, and raises where it must not happen.
        """
        total = sum(result.states.values())
        assert total == result.num_inputs, (
            f"{self.name}: {result.num_inputs} rows came in, {total} were accounted for"
        )
        manifest = Manifest(
            stage=self.name,
            schema_version=SCHEMA_VERSION,
            fingerprint=inputs.fingerprint,
            settings=inputs.settings,
            inputs=inputs.contents,
            num_inputs=result.num_inputs,
            states=dict(sorted(result.states.items())),
            num_outputs=result.num_outputs,
            files=sorted(result.files, key=lambda f: f.name),
            facts=cast("dict[str, Any]", msgspec.to_builtins(result.facts)),
            places=dict(places or {}),
            damaged_files=sorted(result.damaged_files),
        )
        partial = self.partial_url(manifest.fingerprint)
        for entry in manifest.files:
            assert storage.size_of(storage.join(partial, entry.name)) == entry.num_bytes, (
                f"{partial}/{entry.name} is not the file that was written"
            )
        check()
        storage.write_text(storage.join(partial, MANIFEST), canonical_json(manifest) + "\n")
        check()
        self._swap(partial)
        return manifest

    def add_round(self, partial: str, manifest: Manifest, *, replaced: Sequence[str]) -> Manifest:
        """Add the files in a folder to the complete result, whose manifest is replaced in one step.

        `replaced` names the files that belong to the result no longer.
        """
        storage.remove(storage.join(partial, WORK))
        storage.remove_unfinished(partial)
        added = Round(manifest=manifest, replaced=sorted(replaced))
        storage.write_text(storage.join(partial, ROUND), canonical_json(added) + "\n")
        self._add(partial)
        for url in self.partial_urls():
            storage.remove(url)
        return manifest

    def _add(self, partial: str) -> None:
        added = _ROUND.decode(storage.read_bytes(storage.join(partial, ROUND)))
        for file in added.manifest.files:
            # Those that an interrupted call has moved are no longer there.
            if storage.exists(storage.join(partial, file.name)):
                storage.move_file(
                    storage.join(partial, file.name), storage.join(self.url, file.name)
                )
        manifest = canonical_json(added.manifest) + "\n"
        storage.write_text(storage.join(self.url, MANIFEST), manifest)
        for name in added.replaced:
            storage.remove(storage.join(self.url, name))
        storage.remove(partial)

    def move_places(self, manifest: Manifest, places: Mapping[str, str]) -> Manifest:
        """Write down where files lie now that a complete result names and does not hold."""
        moved = msgspec.structs.replace(manifest, places=dict(places))
        storage.write_text(storage.join(self.url, MANIFEST), canonical_json(moved) + "\n")
        return moved

    def _swap(self, partial: str) -> None:
        # Only now: until the manifest stands, a rerun goes on from what lies in `work/`.
        storage.remove(storage.join(partial, WORK))
        storage.remove_unfinished(partial)
        # The old result is removed once only: a repeated move must keep the files it has moved.
        if not storage.exists(storage.join(partial, CLEARED)):
            storage.remove(storage.join(self.url, COMPLETE))
            storage.remove(self.url)
            storage.write_text(storage.join(partial, CLEARED), "")
        storage.move(partial, self.url, last=(MANIFEST, CLEARED))
        self._mark_complete()
        for url in self.partial_urls():
            say(f"{self.name:9} removes {url}, which other settings or inputs had begun")
            storage.remove(url)

    def _read_manifest(self) -> Manifest:
        url = storage.join(self.url, MANIFEST)
        try:
            return _MANIFEST.decode(storage.read_bytes(url))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StageError(
                f"{url} is not the manifest of a stage: {error}",
                hint=f"remove {self.url} and run the stage again",
            ) from error

    def _mark_complete(self) -> None:
        manifest = self._read_manifest()
        storage.write_text(storage.join(self.url, COMPLETE), manifest.fingerprint + "\n")
        storage.remove(storage.join(self.url, CLEARED))
