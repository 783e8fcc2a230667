"""The outcomes of finished trials, a file each, so that a sweep that was killed goes on."""

import hashlib
from typing import Any, Generic, TypeVar

import msgspec

from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of

R = TypeVar("R", bound=msgspec.Struct)

_SUFFIX = ".json"


class _KeptOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the ledger."""

    sha256: str
    """Of the outcome's bytes."""

    outcome: msgspec.Raw


_KEPT_OUTCOME = msgspec.json.Decoder(_KeptOutcome)


class Ledger(Generic[R]):
    """A folder of outcomes. A trial stands in it when it has ended, whole or not at all."""

    def __init__(self, folder: str, *, of: Any, record: type[R]) -> None:
        """Open the ledger of a sweep.

        Args:
            folder: where sweeps are kept; empty to keep nothing.
            of: all that an outcome depends on beside its trial's name. Another value is another
                sweep, which finds nothing of this one.
            record: the form of an outcome. A file of another form does not count.
        """
        self._folder = storage.join(folder, fingerprint_of(of)[:16]) if folder else ""
        self._decoder = msgspec.json.Decoder(record)

    def finished(self) -> dict[str, R]:
        """Return the outcomes that are there, by the names of their trials."""
        if not self._folder or not storage.exists(self._folder):
            return {}
        found: dict[str, R] = {}
        for file in storage.list_names(self._folder):
            if file.endswith(_SUFFIX):
                content = storage.read_bytes(storage.join(self._folder, file))
                try:
                    kept = _KEPT_OUTCOME.decode(content)
                    if hashlib.sha256(kept.outcome).hexdigest() == kept.sha256:
                        found[file.removesuffix(_SUFFIX)] = self._decoder.decode(kept.outcome)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # a damaged file costs its trial, which is run again
        return found

    def write(self, name: str, outcome: R) -> None:
        """Keep a trial's outcome."""
        if self._folder:
            encoded = msgspec.json.encode(outcome)
            sha256 = hashlib.sha256(encoded).hexdigest()
            kept = _KeptOutcome(sha256=sha256, outcome=msgspec.Raw(encoded))
            line = msgspec.json.encode(kept) + b"\n"
            storage.write_bytes(storage.join(self._folder, f"{name}{_SUFFIX}"), line)
