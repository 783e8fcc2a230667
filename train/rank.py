"""One rank of a training run: what it is told, and all that it does.

`openalign train` writes a `RankSpec` and starts `python -m openalign.train.rank SPEC` under
DeepSpeed's launcher. Under torchrun and its like every process builds the same spec and calls
`run`. Either way rank 0 locks the stage, sees whether it is up to date, and seals it.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from openalign.errors import OpenAlignError
from openalign.files import storage
from openalign.files.manifest import WORK, StageFolder, StageInputs
from openalign.settings.yaml_reader import read_plain
from openalign.telemetry import say, set_up_logging
from openalign.train.config import TrainConfig
from openalign.train.launch import end_with_starter
from openalign.train.work_folder import local_folders, upload

if TYPE_CHECKING:
    from openalign.train.loop import Trained


class RankSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What every rank of a run is told; all of it is the same for every rank."""

    config: dict[str, Any]
    """`TrainConfig` as `settings.fields.to_plain` returns it, runtime settings included."""

    training: list[str]
    """URLs of the training manifest's files, in order."""

    shards: str
    """URL of the folder that holds the shards."""

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


_SPEC = msgspec.json.Decoder(RankSpec)


def write_spec(url: str, spec: RankSpec) -> None:
    """Write a spec for `main` to read."""
    storage.write_bytes(url, msgspec.json.format(msgspec.json.encode(spec), indent=1) + b"\n")


def read_spec(url: str) -> RankSpec:
    """Read what `write_spec` wrote."""
    return _SPEC.decode(storage.read_bytes(url))


def run(spec: RankSpec) -> None:
    """Train as one of the ranks that the environment names, or alone; rank 0 seals the stage.

    Nothing is done where the stage is up to date. An error of rank 0 outside the steps themselves
    (the stage is locked, the root cannot be written, the stage cannot be sealed) ends every rank.

    Raises:
        ConfigError: the ranks cannot share the batch evenly, or the warm-up is as long as the run.
        StageError: another run is at work on the stage, nothing to train on, a checkpoint of
            another number of ranks, or too many steps in a row that were not finite.
    """
    from openalign.train import loop, zero

    config = read_plain(TrainConfig, spec.config, "the rank's spec")
    with zero.joined_ranks() as ranks, ExitStack() as held:
        if not zero.on_rank_0(ranks, partial(_begin, spec, held)):
            return
        trained = loop.run(
            config,
            ranks,
            training=spec.training,
            shards=spec.shards,
            folders=local_folders(spec.output, spec.work),
        )
        zero.on_rank_0(ranks, partial(_seal, spec, config, trained))


def _begin(spec: RankSpec, held: ExitStack) -> bool:
    """Lock the stage until `held` ends; return False where it is up to date."""
    held.enter_context(spec.folder.locked())
    spec.folder.finish_swap()
    manifest = spec.folder.read()
    if manifest is not None and manifest.fingerprint == spec.inputs.fingerprint:
        say("train     up to date")
        return False
    storage.check_writable(spec.root)
    return True


def _seal(spec: RankSpec, config: TrainConfig, trained: "Trained") -> None:
    from openalign.train.result import write_result

    folders = local_folders(spec.output, spec.work)
    result = write_result(trained, config, folders)
    if not storage.is_local(spec.output):
        upload(folders.result, spec.output)
    spec.folder.seal(result, spec.inputs)


def main(argv: Sequence[str]) -> int:
    """Be a rank that `launch` started; return its exit code, 2 for a mistake a user can mend."""
    end_with_starter()
    set_up_logging()
    try:
        run(read_spec(argv[0]))
    except OpenAlignError as error:
        hint = f"\n\nhint: {error.hint}" if error.hint else ""
        sys.stderr.write(f"error: {error}{hint}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
