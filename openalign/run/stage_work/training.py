"""How a run hands its training stage to the ranks: their spec, and the process that starts them.

Two ways lead to `train.rank.run`, and both pass the same checks. `start` writes the spec into the
stage's `work/`, starts ranks and waits. Under torchrun and its like every process is a rank
already: it builds the spec itself. Rank 0 locks and seals the stage in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from openalign.files import storage
from openalign.files.manifest import Manifest, StageFolder, StageInputs
from openalign.settings.fields import to_plain
from openalign.settings.yaml_reader import read_plain
from openalign.telemetry import say
from openalign.train.config import TrainConfig
from openalign.train.starting_points import located

if TYPE_CHECKING:
    from openalign.train.rank import TrainingSpec


def is_rank() -> bool:
    """Tell whether this process is a rank already.

    Raises:
        StageError: the environment names a rank, but lacks a value that ranks need.
    """
    from openalign.train.local_ranks import is_rank as environment_names_a_rank

    return environment_names_a_rank()


def run_as_rank(spec: "TrainingSpec") -> None:
    """Train as one of the ranks that the environment names; rank 0 seals the stage.

    Raises:
        StageError: what stops rank 0, on every rank.
    """
    from openalign.train import rank

    rank.run(spec)


def start(spec: "TrainingSpec", *, num_processes: int) -> Manifest:
    """Start the ranks, wait for them and return the manifest that rank 0 has sealed.

    Raises:
        SystemExit: this process got SIGTERM.
        InputError: what `train.init_from` names cannot be used.
        ConfigError: a setting contradicts it.
        StageError: the ranks failed.
    """
    from openalign.train.launch import launch
    from openalign.train.stage_spec import made_by_ranks

    _check_start(spec)

    def begin(url: str) -> None:
        launch([url], num_processes=num_processes, folders=(spec.output, spec.folder.url))

    return made_by_ranks(spec, begin)


def _check_start(spec: "TrainingSpec") -> None:
    """Find fault with what the run begins from before ranks start, and say what it decides."""
    config = read_plain(TrainConfig, spec.config, "the rank's spec")
    if config.init_from is None:
        return
    from openalign.train.start import begin

    for line in begin.check(config).taken:
        say(f"train     takes from what it begins from: {line}")


def rank_spec(
    config: TrainConfig,
    *,
    training: Sequence[str],
    shards: str,
    places: Mapping[str, str],
    folder: StageFolder,
    inputs: StageInputs,
) -> "TrainingSpec":
    """Return what the ranks of a run are told; every URL means the same in their folders."""
    from openalign.train.rank import TrainingSpec

    if config.init_from is not None:
        config = replace(config, init_from=located(config.init_from, storage.absolute))
    return TrainingSpec(
        config=to_plain(config),
        training=list(training),
        shards=storage.absolute(shards),
        places=dict(places),
        root=storage.absolute(folder.root),
        stage=folder.name,
        inputs=inputs,
    )
