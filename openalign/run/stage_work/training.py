"""How a run hands its training stage to the ranks: their spec, and the process that starts them.

Two ways lead to `train.rank.run`, and both pass the same checks. `start` writes the spec into the
stage's `work/`, starts ranks and waits. Under torchrun and its like every process is a rank
already: it builds the spec itself. Rank 0 locks and seals the stage in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.manifest import Manifest, StageFolder, StageInputs
from openalign.files.names import TRAINING_PAIRS, training_index_name
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


def start(spec: "TrainingSpec", config: TrainConfig) -> Manifest:
    """Make the vocabulary, start the ranks, wait, and return the manifest that rank 0 has sealed.

    Raises:
        SystemExit: the ranks were asked to stop, or their time was up.
        InputError: what `train.init_from` names cannot be used.
        ConfigError: a setting contradicts it, or the ranks cannot share the batch.
        StageError: the environment is refused, or the ranks failed.
    """
    from openalign.train.launch import launch
    from openalign.train.local_ranks import count_gpus
    from openalign.train.stage_spec import made_by_ranks

    check_ranks(config)
    num_gpus = count_gpus()
    say_idle_gpus(config, num_gpus=num_gpus)
    prepare(spec)

    def begin(url: str) -> None:
        launch(
            [url],
            num_processes=ranks_asked_for(config, num_gpus=num_gpus),
            folders=(spec.output, spec.folder.url),
            stop=config.stop,
        )

    return made_by_ranks(spec, begin)


def prepare(spec: "TrainingSpec") -> None:
    """Make the vocabulary, which ranks would wait for.

    Raises:
        InputError: what `train.init_from` names cannot be used.
        ConfigError: a setting contradicts it.
        StageError: the environment is refused, another run is at work, or the job failed.
    """
    from openalign.train import rank

    for line in check_start(read_plain(TrainConfig, spec.config, "the rank's spec")):
        say(f"train     takes from what it begins from: {line}")
    rank.prepare(spec)


def check_start(config: TrainConfig) -> Sequence[str]:
    """Find fault with what a run begins from, and where, before ranks start or any stage does.

    Return a line for each setting that it decides. Of a model no weights are read. Patterns over
    parameters are held against the names of those that there will be.

    Raises:
        InputError: what `train.init_from` names cannot be used.
        ConfigError: settings contradict it, or `train.wandb` lacks its library.
        StageError: a variable of the environment would break the numerics, or the start.
    """
    from openalign.train import guard
    from openalign.train.local_ranks import count_gpus
    from openalign.train.wandb_run import require_wandb

    guard.check_environment(on_cpu=not count_gpus())
    require_wandb(config.wandb)
    if config.init_from is None and not (config.frozen or config.learning_rate_factors):
        return ()  # without torch
    from openalign.train.start import begin

    return begin.check(config).taken


def ranks_asked_for(config: TrainConfig, *, num_gpus: int) -> int:
    """Return `num_processes`, or what 0 stands for: one a GPU, but no more than blocks."""
    return config.num_processes or min(num_gpus or 1, config.num_blocks)


def say_idle_gpus(config: TrainConfig, *, num_gpus: int) -> None:
    """Say how many GPUs have no block, where a rank a GPU is asked for, and what gives them one."""
    from openalign.train.block_shares import largest_block

    count, total = ranks_asked_for(config, num_gpus=num_gpus), config.num_blocks
    if config.num_processes or count >= num_gpus:
        return
    idle = (
        f"{'train':9} {num_gpus - count} of {num_gpus} GPUs stay idle: a batch is {total} "
        f"block{'s' * (total > 1)} of {config.pairs_per_block} pairs, and a rank has whole blocks; "
    )
    for more in range(num_gpus, count, -1):
        block = largest_block(
            config.model.image_tower.batch_norm,
            batch_size=config.global_batch_size,
            num_ranks=more,
        )
        if block is not None:
            working = "all" if more == num_gpus else str(more)
            say(
                f"{idle}`train.block_size` {block} lets {working} of them work, and makes another "
                "model: set it before the run"
            )
            return
    say(f"{idle}no smaller `train.block_size` lets more of them work")


def check_ranks(config: TrainConfig) -> None:
    """Find fault with the number of ranks here, and not in each of them a minute later.

    Raises:
        ConfigError: they cannot share the batch.
    """
    from openalign.train.block_shares import check_shares
    from openalign.train.local_ranks import count_gpus

    num_gpus = count_gpus()
    count = ranks_asked_for(config, num_gpus=num_gpus)
    check_shares(config, num_ranks=min(count, num_gpus or count), starts=True)


def rank_spec(
    config: TrainConfig,
    *,
    selected: StageFolder,
    shards: str,
    places: Mapping[str, str],
    folder: StageFolder,
    inputs: StageInputs,
    beam_options: Sequence[str],
) -> "TrainingSpec":
    """Return what the ranks of a run are told; every URL means the same in their folders.

    Raises:
        StageError: `select` is not complete, or was made by a version that wrote no index.
    """
    from openalign.train.data.index_copies import IndexFile
    from openalign.train.rank import TrainingSpec

    url = storage.absolute(selected.url)
    manifest = selected.require()
    files = {file.name: file for file in manifest.files}
    training = manifest.names(TRAINING_PAIRS)
    index = [files.get(training_index_name(name)) for name in training]
    if None in index:
        raise StageError(
            f"{selected.url} has no index of its training pairs: an earlier version wrote it",
            hint="run `openalign select` again: it fetches nothing",
        )

    if config.init_from is not None:
        config = replace(config, init_from=located(config.init_from, storage.absolute))
    return TrainingSpec(
        config=to_plain(config),
        training=[storage.join(url, name) for name in training],
        index=[
            IndexFile(url=storage.join(url, f.name), num_bytes=f.num_bytes, sha256=f.sha256)
            for f in index
            if f is not None
        ],
        shards=storage.absolute(shards),
        places=dict(places),
        root=storage.absolute(folder.root),
        stage=folder.name,
        inputs=inputs,
        beam_options=list(beam_options),
    )
