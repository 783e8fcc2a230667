"""One rank of a training run: what it is told, and all that it does.

`openalign train` writes a `TrainingSpec` and starts `python -m openalign.train.rank SPEC` under
DeepSpeed's launcher. Under torchrun and its like every process builds the same spec and calls
`run`. Either way rank 0 locks the stage, sees whether it is up to date, and seals it.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from openalign.files import storage
from openalign.files.file_systems import nothing
from openalign.files.fingerprints import fingerprint_of
from openalign.files.leases import Fence
from openalign.files.names import HASHES_FOLDER, VOCABULARY_FILE
from openalign.settings.fields import identity
from openalign.settings.yaml_reader import read_plain
from openalign.telemetry import say
from openalign.train.config import TrainConfig
from openalign.train.data.index_copies import IndexFile, paths_on_this_machine
from openalign.train.software import software
from openalign.train.stage_spec import StageSpec, begin_leased, main_of_rank
from openalign.train.starting_points import INIT_FROM, brings_words
from openalign.train.work_folder import local_folders, upload

if TYPE_CHECKING:
    from openalign.train.data.index import TrainingIndex
    from openalign.train.data.index_check import IndexCheck
    from openalign.train.loop import Trained
    from openalign.train.ranks import RankGroup
    from openalign.train.start.begin import Beginning


_TEXTS_LOOKED_AT = 1_000


class TrainingSpec(StageSpec, frozen=True, kw_only=True):
    """What every rank of a run is told; all of it is the same for every rank."""

    config: dict[str, Any]
    """`TrainConfig` as `settings.fields.to_plain` returns it, runtime settings included."""

    training: list[str]
    """URLs of the training manifest's files, in order."""

    index: list[IndexFile]
    """The index beside each of them, in the same order."""

    shards: str
    """URL of the folder that holds the shards."""

    places: dict[str, str]
    """URLs of the folders of shards that lie elsewhere, by the names that begin theirs."""

    beam_options: Sequence[str] = ()
    """Options of the Beam job that counts words."""

    @property
    def vocabulary(self) -> str:
        """URL of the vocabulary, which is made before the first step."""
        return storage.join(self.work, VOCABULARY_FILE)


def run(spec: TrainingSpec) -> None:
    """Train as one of the ranks that the environment names, or alone; rank 0 seals the stage.

    Nothing is done where the stage is up to date. An error of rank 0 outside the steps themselves
    (the stage is locked, the root cannot be written, the stage cannot be sealed) ends every rank.

    Raises:
        ConfigError: the ranks cannot share the blocks, the batch is larger than the data, or the
            warm-up is as long as the run.
        InputError: what `train.init_from` names cannot be used, or knows no word of the texts.
        StageError: another run is at work on the stage, ranks do not have the same settings,
            inputs, libraries or folder, nothing to train on, no checkpoint is whole, there is no
            room for one, or too many steps in a row that were not finite.
    """
    from openalign.train import loop, zero
    from openalign.train.data.index import TrainingIndex
    from openalign.train.data.sample_hash import first_hash
    from openalign.train.data.shard_reading import open_shards
    from openalign.train.ranks import on_rank_0, slow_on_every_rank, slow_on_rank_0
    from openalign.train.start import begin as start
    from openalign.train.state import RunInputs, vocabulary_of

    config = read_plain(TrainConfig, spec.config, "the rank's spec")
    with zero.joined_ranks() as ranks, ExitStack() as held:
        made_from = _made_from(spec)
        fence = _begin_together(spec, ranks, made_from, held)
        if fence is None:
            return
        slow_on_rank_0(ranks, partial(_make_vocabulary, spec, config, ranks.world_size))
        begin = partial(start.begin, config, content=spec.inputs.contents.get(INIT_FROM, ""))
        paths, beginning = slow_on_every_rank(
            ranks, lambda: (paths_on_this_machine(spec.index), begin())
        )
        index = TrainingIndex(paths)
        on_rank_0(ranks, partial(_check_beginning, spec, index, beginning))
        shards = open_shards(
            spec.shards,
            places=spec.places,
            index=index,
            identity=spec.inputs.contents["fetch"],
            cache_mb=config.shard_cache_mb,
        )
        held.callback(shards.close)
        inputs = RunInputs(
            index=index,
            first_hash=first_hash([file.sha256 for file in spec.index]),
            vocabulary=vocabulary_of(beginning.pretrained, spec.vocabulary),
            shards=shards,
            folders=local_folders(spec.output, spec.work, fence=fence),
            made_from=made_from,
            index_check=_index_check(spec, ranks.rank),
            pretrained=beginning.pretrained,
            other_run=beginning.checkpoint,
        )
        trained = loop.run(beginning.config, ranks, inputs)
        on_rank_0(ranks, partial(_seal, spec, beginning, trained, fence, inputs.index_check))


def _index_check(spec: TrainingSpec, rank: int) -> "IndexCheck | None":
    """Begin to hash the index, on rank 0."""
    from openalign.train.data.index_check import IndexCheck

    if rank != 0:
        return None
    cache = storage.join(spec.root, HASHES_FOLDER, "train.index.json")
    return IndexCheck(spec.index, cache=cache)


def _begin_together(
    spec: TrainingSpec, ranks: "RankGroup", made_from: Mapping[str, str], held: ExitStack
) -> Fence | None:
    """Lease the stage, on rank 0, for ranks that have the same before them; None: it is made."""
    from openalign.train.ranks import check_same, check_shared, on_rank_0

    # Under torchrun each rank has read the settings and the inputs of its own machine.
    check_same(ranks, {**made_from, **_settings(spec), **software()})
    fence = on_rank_0(ranks, partial(_begin_leased, spec, held))
    if fence is not None:
        check_shared(ranks, spec.work)
        if ranks.rank == 0:
            say("train     the ranks have met; reads what is trained on")
    return fence


def _begin_leased(spec: TrainingSpec, held: ExitStack) -> Fence | None:
    """Do as `begin_leased`; a run that has lost its lease stops behind the step that it is in.

    What it would save then is refused, on every rank.
    """
    return begin_leased(spec, held, on_loss=partial(os.kill, os.getpid(), signal.SIGTERM))


def _made_from(spec: TrainingSpec) -> dict[str, str]:
    """Return what the result depends on, as far as this rank sees it."""
    sizes = [
        [url.rpartition("/")[2], storage.size_of(url) if storage.exists(url) else -1]
        for url in spec.training
    ]
    inputs = {f"`{name}`": content for name, content in spec.inputs.contents.items()}
    return {
        "settings of the result": fingerprint_of(spec.inputs.settings),
        "training manifest": fingerprint_of(sizes),
        **inputs,
    }


def _settings(spec: TrainingSpec) -> dict[str, str]:
    """Return every setting by its name, runtime settings included."""
    found: dict[str, str] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in cast("dict[str, Any]", value).items():
                add(f"{name}.{key}", inner)
        else:
            found[name] = str(value)

    add("train", spec.config)
    return found


def prepare(spec: TrainingSpec) -> None:
    """Make what ranks wait for, before they are started; nothing where the stage is up to date.

    Raises:
        StageError: another run is at work on the stage, or the job failed.
    """
    config = read_plain(TrainConfig, spec.config, "the rank's spec")
    with ExitStack() as held:
        if begin_leased(spec, held) is not None:
            _make_vocabulary(spec, config)


def _make_vocabulary(spec: TrainingSpec, config: TrainConfig, num_ranks: int = 1) -> None:
    from openalign.train.data.vocabulary import has_vocabulary

    if brings_words(config.init_from) or has_vocabulary(spec.vocabulary):
        return
    from openalign.train.data.words import WordRules
    from openalign.train.vocabulary_job import make_vocabulary

    if num_ranks > 1:
        say(
            "train     rank 0 makes the vocabulary while the others wait: `openalign train NAME "
            "--prepare`, before ranks are started, saves their time"
        )
    make_vocabulary(
        spec.vocabulary,
        spec.training,
        size=config.model.vocabulary_size,
        rules=WordRules.of(config.model),
        work=spec.work,
        beam_options=spec.beam_options,
    )


def _check_beginning(spec: TrainingSpec, index: "TrainingIndex", beginning: "Beginning") -> None:
    """Tell of what other settings had begun, and find texts that a given tokenizer cannot read.

    A tokenizer that comes along must know the first alt-texts of training.
    """
    import numpy as np

    from openalign.train.checkpoints.unfinished import say_unfinished
    from openalign.train.data.order import rows_at
    from openalign.train.start.model_reading import check_texts

    say_unfinished(spec.folder, spec.inputs, identity(beginning.config))
    first = np.arange(min(len(index), _TEXTS_LOOKED_AT))
    rows = rows_at(first, num_rows=len(index), seed=beginning.config.seed)
    check_texts(beginning.pretrained, index.alt_texts(rows))


def _seal(
    spec: TrainingSpec,
    beginning: "Beginning",
    trained: "Trained",
    fence: Fence,
    index_check: "IndexCheck | None",
) -> None:
    from openalign.train.result import write_result

    if index_check is not None:  # where no step was left, no checkpoint has waited for it
        index_check.finish(nothing)
    folders = local_folders(spec.output, spec.work)
    result = write_result(trained, beginning.config, folders, pretrained=beginning.pretrained)
    if not storage.is_local(spec.output):
        upload(folders.result, spec.output, fence=fence)
    spec.folder.seal(result, spec.inputs, check=fence.check)


if __name__ == "__main__":
    sys.exit(main_of_rank(sys.argv[1:], TrainingSpec, run))
