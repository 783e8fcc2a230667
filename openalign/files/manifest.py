"""What a stage wrote, whether it is complete, and how a new result takes an old one's place.

A stage's folder under the run's root is either complete or absent:

    <root>/candidates/              data files, then manifest.json, last of all COMPLETE
    <root>/.candidates.<fingerprint>/   the same, while it is being made

A stage writes into the second. When it dies, the next run with the same fingerprint goes on there;
a run with other settings starts another one beside it. When it ends, `work/` is dropped and the
folder is swapped into place. Every step of the swap can be interrupted and done again.

A fingerprint is the hash of the stage's settings, its schema version and its inputs' fingerprints.
No port, clock, path, process count or arrival order enters it.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar, cast

import msgspec

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.facts import Facts
from openalign.files.fingerprints import SCHEMA_VERSION, canonical_json, fingerprint_of

MANIFEST = "manifest.json"
COMPLETE = "COMPLETE"
CLEARED = "CLEARED"
"""Stands in a folder while it is swapped in, from when the old one is gone."""

WORK = "work"

PATIENCE_SECONDS = 5.0
"""How long a run waits for the lock of one that may be ending."""


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
    """What a stage hands back when it has ended."""

    num_inputs: int
    """Rows that the stage was given (or came across, for a crawl)."""

    states: Mapping[str, int]
    """Rows by terminal state; they add up to `num_inputs`."""

    num_outputs: int
    """Rows that the next stage will read; a stage with none stops the run."""

    files: Iterable[DataFile]
    facts: Facts = field(default_factory=Facts)
    """What else the report shows: thresholds that resulted, marginal effects, examples."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
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
    """As JSON has them; `facts_as` gives the record."""

    def content_fingerprint(self) -> str:
        """Return the hash of what was written; it changes when and only when the data does."""
        return fingerprint_of([[f.name, f.num_rows, f.sha256] for f in self.files])

    def names(self, prefix: str) -> list[str]:
        """Return the names of the data files that begin with `prefix`, in order."""
        return [f.name for f in self.files if f.name.startswith(prefix)]

    def facts_as(self, kind: type[F]) -> F:
        """Return the facts as the record of the stage that wrote them."""
        return msgspec.convert(self.facts, kind)


_MANIFEST = msgspec.json.Decoder(Manifest)


@dataclass(frozen=True, slots=True)
class StageFolder:
    """Where one stage of one run lives."""

    root: str
    name: str

    @property
    def url(self) -> str:
        """The complete result's place."""
        return storage.join(self.root, self.name)

    @property
    def lock_url(self) -> str:
        """The lock of whoever may change the stage."""
        return storage.join(self.root, f".lock-{self.name}")

    def partial_url(self, fingerprint: str) -> str:
        """Return where a result with this fingerprint is made."""
        return storage.join(self.root, f".{self.name}.{fingerprint[:16]}")

    def read(self) -> Manifest | None:
        """Return the complete result's manifest, or None when there is none.

        Raises:
            StageError: the manifest does not belong to its completion marker.
        """
        marker = storage.join(self.url, COMPLETE)
        if not storage.exists(marker):
            return None
        manifest = _MANIFEST.decode(storage.read_bytes(storage.join(self.url, MANIFEST)))
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
                hint=f"run the stage that writes `{self.name}` first, or `openalign run`",
            )
        return manifest

    @contextmanager
    def locked(self, *, patience_seconds: float = PATIENCE_SECONDS) -> Generator[None]:
        """Keep other runs out of this stage until the block, or this process, ends.

        The lock is the stage's, whatever the settings: a run that seals removes what runs with
        other settings have begun. A run that is just ending, as after a kill, is waited for.

        Raises:
            StageError: another run is at work on it.
        """
        busy = f"another run is at work on {self.url}"
        with storage.locked(self.lock_url, busy=busy, patience_seconds=patience_seconds):
            yield

    def finish_swap(self) -> None:
        """Complete a swap that was interrupted after its manifest was written."""
        for name in _partials(self):
            partial = storage.join(self.root, name)
            if any(storage.exists(storage.join(partial, mark)) for mark in (MANIFEST, CLEARED)):
                self._swap(partial)
        if storage.exists(storage.join(self.url, CLEARED)):
            self._mark_complete()

    def seal(self, result: StageResult, inputs: StageInputs) -> Manifest:
        """Write the manifest beside the data and swap the folder into place."""
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
        )
        partial = self.partial_url(manifest.fingerprint)
        for entry in manifest.files:
            assert storage.size_of(storage.join(partial, entry.name)) == entry.num_bytes, (
                f"{partial}/{entry.name} is not the file that was written"
            )
        storage.remove(storage.join(partial, WORK))
        storage.remove_unfinished(partial)
        storage.write_text(storage.join(partial, MANIFEST), canonical_json(manifest) + "\n")
        self._swap(partial)
        return manifest

    def _swap(self, partial: str) -> None:
        # The old result goes exactly once: a move that was cut short must not lose what it moved.
        if not storage.exists(storage.join(partial, CLEARED)):
            storage.remove(storage.join(self.url, COMPLETE))
            storage.remove(self.url)
            storage.write_text(storage.join(partial, CLEARED), "")
        storage.move(partial, self.url, last=(MANIFEST, CLEARED))
        self._mark_complete()
        for name in _partials(self):
            storage.remove(storage.join(self.root, name))

    def _mark_complete(self) -> None:
        manifest = _MANIFEST.decode(storage.read_bytes(storage.join(self.url, MANIFEST)))
        storage.write_text(storage.join(self.url, COMPLETE), manifest.fingerprint + "\n")
        storage.remove(storage.join(self.url, CLEARED))


def settings_that_differ(old: Any, new: Any, path: str = "") -> list[str]:
    """Name every setting whose value changed, as `text.min_count: 2 -> 3`."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [f"{path}: {old} -> {new}"]
    before, after = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
    return [
        line
        for name in dict.fromkeys([*before, *after])
        for line in settings_that_differ(
            before.get(name), after.get(name), f"{path}.{name}".lstrip(".")
        )
    ]


def _partials(folder: StageFolder) -> list[str]:
    if not storage.exists(folder.root):
        return []
    prefix = f".{folder.name}."
    return [name for name in storage.list_names(folder.root) if name.startswith(prefix)]
