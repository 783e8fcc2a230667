"""`checkpoint.json`: how far a run was when a checkpoint was made, and what its other files are."""

import hashlib
from functools import partial
from typing import Any

import msgspec

from openalign.files import storage
from openalign.files.fingerprints import canonical_json
from openalign.train.checkpoint_names import MANIFEST_FILE, step_of
from openalign.train.checkpoints.damage import DamagedError, read_or_damaged
from openalign.train.data.passed_over import BatchRange, merged

OLD_PROGRESS_FILE = "progress.json"
"""What a checkpoint of DeepSpeed's own form had in its place."""

PAIRS = "`select`"
"""What `made_from` calls the content whose pairs the run is trained on."""

FORMAT = 2
"""Raised whenever an older reader would go wrong."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A start of the run: weights depend, by rounding, on the ranks that made them."""

    step: int
    """The first step that was taken after it."""

    world_size: int
    zero_stage: int


class Rewind(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that were undone for a loss spike, and the global batches that are passed over."""

    step: int
    """The step of the spike."""

    loss: float
    mean: float
    deviation: float
    """Its loss, and what that was measured by."""

    back_to: int
    """The first step that was undone."""

    first_batch: int
    stop_batch: int
    """From the batch that this step had taken to before the one behind the spike's."""


class BestStep(msgspec.Struct, frozen=True, kw_only=True):
    """Where the loss in validation was lowest; of equal ones the first."""

    step: int
    """Steps that were done."""

    loss: float


class Progress(msgspec.Struct, kw_only=True):
    """How far a run is; order and draws are functions of the step and of the rewinds."""

    step: int = 0
    """Steps that are done, skipped ones included."""

    first_step: int = 0
    """The step that the run began at: not 0 where it goes on from the state of another run."""

    sample_hash: str = ""
    """Running hash over the pairs of every step that is done, in order."""

    nonfinite_in_a_row: int = 0
    num_skipped: int = 0
    """Steps that changed nothing, in all: not finite, or a spike that was skipped."""

    recent_losses: list[float] = []
    """What the next loss is measured by, where spikes are told."""

    best: BestStep | None = None
    """None where nothing was validated, or nothing was finite."""

    rewinds: list[Rewind] = []
    """In the order in which they were done."""

    num_lines: dict[str, int] = {}
    """Lines of the steps that are done, by the name of the file that has them; as rank 0 counts,
    and nothing where an earlier version did not."""

    starts: list[Start] = []
    """Every start that led here, in order; a rewind is one."""

    @property
    def passed_over(self) -> tuple[BatchRange, ...]:
        """The global batches that no step takes any more."""
        return merged(BatchRange(each.first_batch, each.stop_batch) for each in self.rewinds)


class SavedParameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter in a checkpoint."""

    shape: list[int]
    step: int
    """Updates that its moments have seen."""


class SavedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a checkpoint."""

    num_bytes: int
    sha256: str


class CheckpointManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint says about itself."""

    format: int = FORMAT
    progress: Progress
    made_from: dict[str, str]
    """Fingerprints of what the run depends on, by name."""

    settings: dict[str, Any]
    """Of the run, runtime settings included."""

    parameters: dict[str, SavedParameter]
    buffers: dict[str, list[int]]
    """Shapes by name; frozen parameters are among them."""

    files: dict[str, SavedFile]
    vocabulary: str = ""
    """The hash of the word pieces that were learned, in the order of the rows of their embeddings;
    empty where none were, or an earlier version wrote it."""

    lease: str = ""
    """Under which it was written, as a `Fence` is called; empty without one. Below a URL its files
    lie in a folder of this name, so that two runs never write to one file."""


class _Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest as it was written, and the hash of that: a flipped bit in it is seen as well."""

    sha256: str
    manifest: msgspec.Raw


_SEALED = msgspec.json.Decoder(_Sealed)
_MANIFEST = msgspec.json.Decoder(CheckpointManifest)


def sealed(manifest: CheckpointManifest) -> bytes:
    """Return the bytes of `checkpoint.json`."""
    text = canonical_json(manifest)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{{"sha256":"{digest}","manifest":{text}}}\n'.encode()


def read_manifest(folder: str) -> CheckpointManifest:
    """Return the manifest of a checkpoint.

    Raises:
        DamagedError: there is none, it is not what was written, or the folder's name is another
            step's.
        StageError: it cannot be reached.
    """
    url = storage.join(folder, MANIFEST_FILE)
    try:
        content = read_or_damaged(url, partial(storage.read_bytes, url))
    except DamagedError as error:
        if storage.exists(storage.join(folder, OLD_PROGRESS_FILE)):
            raise DamagedError("it has DeepSpeed's form, as earlier versions wrote it") from error
        raise
    try:
        found = _SEALED.decode(content)
        manifest = _MANIFEST.decode(found.manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedError(f"{MANIFEST_FILE} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise DamagedError(f"it is of format {manifest.format}, and this version reads {FORMAT}")
    if hashlib.sha256(found.manifest).hexdigest() != found.sha256:
        raise DamagedError(f"{MANIFEST_FILE} is not what was written")
    named = step_of(folder.rstrip("/").rpartition("/")[2])
    if named not in (None, manifest.progress.step):
        raise DamagedError(f"{MANIFEST_FILE} says that it is of step {manifest.progress.step}")
    return manifest
