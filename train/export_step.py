"""The model of a checkpoint as a Hugging Face folder, made by one process without an engine."""

import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.names import CHECKPOINTS_FOLDER, VOCABULARY_FILE
from openalign.settings.yaml_reader import read_plain
from openalign.train import zero
from openalign.train.block_shares import block_share
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.manifest import PAIRS
from openalign.train.checkpoints.resume import find
from openalign.train.config import StepWeights, TrainConfig
from openalign.train.data.index import TrainingIndex
from openalign.train.data.index_copies import paths_on_this_machine
from openalign.train.data.shard_reading import open_shards
from openalign.train.model.export import write_export
from openalign.train.model.towers import build_towers
from openalign.train.optim.lamb import EMA
from openalign.train.passes import settle_statistics
from openalign.train.ranks import alone
from openalign.train.saved_files import CONFIG_FILE
from openalign.train.start.begin import begin
from openalign.train.starting_points import INIT_FROM
from openalign.train.state import open_pairs, vocabulary_of

if TYPE_CHECKING:
    from openalign.train.rank import TrainingSpec


def export_step(
    folder: str, step: int, *, weights: StepWeights, spec: "TrainingSpec", output: str
) -> None:
    """Write the model of a checkpoint that lies in a run's folder, in one step.

    Settings and vocabulary are the checkpoint's own, and so are all weights; it must hold an
    average where that is asked for. A tokenizer and preprocessing that the run began from are read
    from there. The training pairs, on which batch-norm statistics are estimated again, are those
    that `spec` names.

    Raises:
        InputError: what the run began from is gone.
        StageError: the checkpoint is damaged, is of other pairs than those that are there now, or
            what the run began from was changed.
    """
    ranks = alone()
    with tempfile.TemporaryDirectory(prefix="openalign-") as scratch:
        kept = CheckpointFolder(url=storage.join(folder, CHECKPOINTS_FOLDER), scratch=Path(scratch))
        found = find(kept, step, ranks)
        if found.manifest.made_from.get(PAIRS) != spec.inputs.contents.get("select"):
            raise StageError(
                f"{kept.url_of(step)} was trained on another result of `select` than the one that "
                "is there now, on which its batch-norm statistics would be estimated",
                hint="put back the settings and inputs of then, and run `openalign select`",
            )
        config = read_plain(TrainConfig, dict(found.manifest.settings), "the checkpoint")
        content = found.manifest.made_from.get(f"`{INIT_FROM}`", "")
        pretrained = begin(config, content=content).pretrained
        words = storage.join(folder, VOCABULARY_FILE)
        vocabulary = vocabulary_of(pretrained, words)
        found.check_vocabulary(vocabulary, hint=f"put {words} back as it was")
        towers = build_towers(config, vocabulary_size=len(vocabulary), pretrained=pretrained)
        found.load_towers(towers, part=EMA if weights == "ema" else zero.WEIGHT)
    index = TrainingIndex(paths_on_this_machine(spec.index))
    share = block_share(config, rank=0, world_size=1)
    towers = towers.to(ranks.device)
    shards = open_shards(
        spec.shards,
        places=spec.places,
        index=index,
        identity=spec.inputs.contents["fetch"],
        cache_mb=config.shard_cache_mb,
    )
    with closing(shards):
        data = open_pairs(
            config,
            index,
            vocabulary,
            shards,
            device=ranks.device,
            pretrained=pretrained,
            passed_over=found.progress.passed_over,
        )
        with closing(data):
            settle_statistics(towers, towers, data, share, config)
    tensors: Mapping[str, Tensor] = {name: t.cpu() for name, t in towers.state_dict().items()}
    unfinished = f"{output.rstrip('/')}.unfinished"
    storage.remove(unfinished)  # what a killed export has left
    write_export(
        unfinished,
        weights=tensors,
        vocabulary=vocabulary,
        model=config.model,
        pretrained=pretrained,
    )
    storage.move(unfinished, output, last=(CONFIG_FILE,))  # no folder is a model without it
