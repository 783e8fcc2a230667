"""One rank of a training run: what it is told, and all that it does.

`openalign train` writes a `TrainingSpec` and starts `python -m openalign.train.rank SPEC` under
DeepSpeed's launcher. Under torchrun and its like every process builds the same spec and calls
`run`. Either way rank 0 locks the stage, sees whether it is up to date, and seals it.
"""

import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from openalign.files import storage
from openalign.files.shards import ShardReader
from openalign.settings.yaml_reader import read_plain
from openalign.train.config import TrainConfig
from openalign.train.stage_spec import StageSpec, begin, main_of_rank
from openalign.train.starting_points import INIT_FROM
from openalign.train.work_folder import local_folders, upload

if TYPE_CHECKING:
    from openalign.train.loop import Trained
    from openalign.train.start.begin import Beginning


class TrainingSpec(StageSpec, frozen=True, kw_only=True):
    """What every rank of a run is told; all of it is the same for every rank."""

    config: dict[str, Any]
    """`TrainConfig` as `settings.fields.to_plain` returns it, runtime settings included."""

    training: list[str]
    """URLs of the training manifest's files, in order."""

    shards: str
    """URL of the folder that holds the shards."""

    places: dict[str, str]
    """URLs of the folders of shards that lie elsewhere, by the names that begin theirs."""


def run(spec: TrainingSpec) -> None:
    """Train as one of the ranks that the environment names, or alone; rank 0 seals the stage.

    Nothing is done where the stage is up to date. An error of rank 0 outside the steps themselves
    (the stage is locked, the root cannot be written, the stage cannot be sealed) ends every rank.

    Raises:
        ConfigError: the ranks cannot share the batch evenly, or the warm-up is as long as the run.
        InputError: what `train.init_from` names cannot be used.
        StageError: another run is at work on the stage, nothing to train on, a checkpoint of
            another number of ranks, or too many steps in a row that were not finite.
    """
    from openalign.train import loop, zero
    from openalign.train.ranks import on_rank_0
    from openalign.train.start import begin as start

    config = read_plain(TrainConfig, spec.config, "the rank's spec")
    with zero.joined_ranks() as ranks, ExitStack() as held:
        if not on_rank_0(ranks, partial(begin, spec, held)):
            return
        beginning = start.begin(config, content=spec.inputs.contents.get(INIT_FROM, ""))
        trained = loop.run(
            beginning.config,
            ranks,
            training=spec.training,
            shards=ShardReader(spec.shards, places=spec.places),
            folders=local_folders(spec.output, spec.work),
            pretrained=beginning.pretrained,
        )
        on_rank_0(ranks, partial(_seal, spec, beginning, trained))


def _seal(spec: TrainingSpec, beginning: "Beginning", trained: "Trained") -> None:
    from openalign.train.result import write_result

    folders = local_folders(spec.output, spec.work)
    result = write_result(trained, beginning.config, folders, pretrained=beginning.pretrained)
    if not storage.is_local(spec.output):
        upload(folders.result, spec.output)
    spec.folder.seal(result, spec.inputs)


if __name__ == "__main__":
    sys.exit(main_of_rank(sys.argv[1:], TrainingSpec, run))
