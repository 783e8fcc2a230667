"""What a run goes on from: the newest checkpoint whose every byte is what was written.

Rank 0 looks for checkpoints and tells the others; the files are hashed by all. One that is damaged
is passed over with a word. A run whose checkpoints are all damaged does not start over by itself.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from openalign.errors import StageError
from openalign.files import storage
from openalign.telemetry import say
from openalign.train.checkpoint_names import MANIFEST_FILE
from openalign.train.checkpoints import pieces
from openalign.train.checkpoints.damage import DamagedError, is_there
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.manifest import CheckpointManifest, Progress, read_manifest
from openalign.train.config import TrainConfig
from openalign.train.data.vocabulary import vocabulary_hash
from openalign.train.model.tensors import trained_parameters, unmoved_tensors
from openalign.train.optim.lamb import ShardedOptimizer
from openalign.train.ranks import RankGroup, is_first_of_machine, on_rank_0, together
from openalign.train.zero import WEIGHT, start_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCheckpoint:
    """A whole checkpoint, and where this machine reads it."""

    manifest: CheckpointManifest
    path: Path
    is_copy: bool

    @property
    def progress(self) -> Progress:
        """How far the run was."""
        return self.manifest.progress

    def check_vocabulary(self, vocabulary: Sequence[str], *, hint: str) -> None:
        """See that word pieces are those that were learned; what comes along has no hash here.

        Raises:
            StageError: they are not; `hint` says what to do.
        """
        if self.manifest.vocabulary not in ("", vocabulary_hash(vocabulary)):
            raise StageError(
                f"{self.path} was made with another vocabulary than there is now", hint=hint
            )

    def load_towers(self, towers: Any, *, part: str = WEIGHT) -> None:
        """Put weights and buffers into towers that no engine holds yet.

        `part` is what takes the place of the weights that are trained, such as their average.

        Raises:
            StageError: the towers are not those that were saved.
        """
        differing = self.differing_tensors(towers)
        if differing:
            raise StageError(
                f"{self.path} holds another model: {len(differing)} tensors differ, such as "
                f"{differing[0]}",
                hint="go on with the version of OpenALIGN that made it, or start in another root",
            )
        pieces.load_towers(towers, self.path, part=part)

    def differing_tensors(self, towers: Any) -> list[str]:
        """Return the names of tensors that are not in both, of other shapes, or frozen in one."""
        trained = {name: list(p.shape) for name, p in trained_parameters(towers).items()}
        unmoved = {name: list(tensor.shape) for name, tensor in unmoved_tensors(towers).items()}
        saved = {name: p.shape for name, p in self.manifest.parameters.items()}
        pairs = ((saved, trained), (self.manifest.buffers, unmoved))
        return sorted({n for a, b in pairs for n in {**a, **b} if a.get(n) != b.get(n)})

    def load_moments(self, engine: Any, optimizer: Any) -> None:
        """Put moments, averages and numbers of updates into an engine's optimizer."""
        pieces.load_moments(engine, optimizer, self.path, self.manifest.parameters)

    def load_weights(self, engine: Any, optimizer: Any) -> None:
        """Put the weights that are trained into an engine that holds others; all ranks call it."""
        pieces.load_weights(engine, optimizer, self.path)

    def forget(self) -> None:
        """Remove the copy, where there is one, once no rank reads it."""
        if self.is_copy and is_first_of_machine():
            shutil.rmtree(self.path, ignore_errors=True)


def engine_from(
    found: FoundCheckpoint | None,
    towers: nn.Module,
    optimizer: ShardedOptimizer,
    config: TrainConfig,
    ranks: RankGroup,
) -> Any:
    """Start the engine, with all that the checkpoint holds where there is one.

    All ranks must call this.

    Raises:
        StageError: the towers are not those that were saved.
    """
    if found is None:
        return start_engine(towers, optimizer, config, ranks)
    found.load_towers(towers)
    engine = start_engine(towers, optimizer, config, ranks)
    found.load_moments(engine, optimizer)
    together(lambda: None)  # until all have read
    found.forget()
    return engine


def go_back(
    folder: CheckpointFolder, ranks: RankGroup, *, made_from: Mapping[str, str], to: int
) -> FoundCheckpoint | None:
    """Return the newest whole checkpoint up to a step, and remove those beyond it.

    They are of steps that are undone. All ranks must call this.

    Raises:
        StageError: as `find_newest` does; nothing is removed then.
    """
    found = find_newest(folder, ranks, made_from=made_from, up_to=to)
    on_rank_0(ranks, lambda: folder.drop_beyond(to))
    return found


def find_newest(
    folder: CheckpointFolder,
    ranks: RankGroup,
    *,
    made_from: Mapping[str, str],
    up_to: int | None = None,
) -> FoundCheckpoint | None:
    """Return the newest whole checkpoint, or None where there is none; all ranks must call this.

    Those beyond the step `up_to` do not count.

    Raises:
        StageError: there are checkpoints, and none is whole; one cannot be reached; or the newest
            whole one was made from other inputs.
    """
    faults: dict[str, str] = {}
    for step in on_rank_0(ranks, folder.steps):
        if up_to is not None and step > up_to:
            continue
        url = folder.url_of(step)
        if on_rank_0(ranks, lambda url=url: _is_upload_cut_off(folder, url)):
            continue
        found = _whole(folder, step, ranks, faults)
        if found is None:
            continue
        _tell(ranks, faults, f"goes on from step {step}")
        _check_made_from(url, found.manifest, made_from)
        return found
    if faults:
        raise StageError(
            "there are checkpoints, and none can be used:\n"
            + "\n".join(f"  {url}: {fault}" for url, fault in faults.items()),
            hint=f"put back what they lack, or remove {folder.url} to start over",
        )
    return None


def find(folder: CheckpointFolder, step: int, ranks: RankGroup) -> FoundCheckpoint:
    """Return the checkpoint of a step; all ranks must call this.

    Raises:
        StageError: it is damaged, or cannot be reached.
    """
    faults: dict[str, str] = {}
    found = _whole(folder, step, ranks, faults)
    if found is None:
        raise StageError(f"{folder.url_of(step)} cannot be used: {faults[folder.url_of(step)]}")
    return found


def _whole(
    folder: CheckpointFolder, step: int, ranks: RankGroup, faults: dict[str, str]
) -> FoundCheckpoint | None:
    """Return a checkpoint, or None with its fault among `faults`; the same on every rank."""
    url = folder.url_of(step)
    manifest, fault = on_rank_0(ranks, lambda: _manifest_or_fault(url))
    if manifest is not None:
        look = partial(_fault_of_files, folder, step, manifest, ranks)
        of_ranks = [look()] if ranks.world_size == 1 else together(look)
        fault = "; ".join(found for found in of_ranks if found)
    if manifest is None or fault:
        faults[url] = fault
        return None
    return FoundCheckpoint(
        manifest=manifest, path=folder.local_files(step), is_copy=not folder.is_local
    )


def _manifest_or_fault(url: str) -> tuple[CheckpointManifest | None, str]:
    try:
        return read_manifest(url), ""
    except DamagedError as error:
        return None, str(error)


def _fault_of_files(
    folder: CheckpointFolder, step: int, manifest: CheckpointManifest, ranks: RankGroup
) -> str:
    """Return what is wrong with the files that this rank looks at; together they see all."""
    names: Sequence[str] = sorted(manifest.files)
    if folder.is_local:
        names = names[ranks.rank :: ranks.world_size]
    elif not is_first_of_machine():
        return ""
    try:
        if not folder.is_local:
            folder.copy_here(step, manifest)
        for name in names:
            folder.check_file(step, name, manifest.files[name])
    except DamagedError as error:
        return str(error)
    return ""


def _is_upload_cut_off(folder: CheckpointFolder, url: str) -> bool:
    """Tell whether a killed run has left an upload behind that never became a checkpoint."""
    return not folder.is_local and not is_there(storage.join(url, MANIFEST_FILE))


def _tell(ranks: RankGroup, faults: Mapping[str, str], then: str) -> None:
    if ranks.rank == 0:
        for url, fault in faults.items():
            say(f"train     {url} cannot be used: {fault}")
        say(f"train     {then}")


def _check_made_from(url: str, manifest: CheckpointManifest, made_from: Mapping[str, str]) -> None:
    differing = [
        name
        for name in dict(manifest.made_from) | dict(made_from)
        if manifest.made_from.get(name) != made_from.get(name)
    ]
    if differing:
        raise StageError(
            f"{url} was made with another {' and another '.join(differing)} than there is now",
            hint="put back what it was made with, or start over in another root",
        )
