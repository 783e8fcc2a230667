"""The model of a checkpoint as a Hugging Face folder, made by one process without an engine."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from openalign.files import storage
from openalign.files.names import CHECKPOINTS_FOLDER, VOCABULARY_FILE
from openalign.files.shards import ShardReader
from openalign.settings.yaml_reader import read_plain
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.resume import find
from openalign.train.config import TrainConfig
from openalign.train.data.index import TrainingIndex
from openalign.train.data.index_copies import paths_on_this_machine
from openalign.train.data.vocabulary import load_vocabulary
from openalign.train.model.export import write_export
from openalign.train.model.towers import build_towers
from openalign.train.passes import block_share, settle_statistics
from openalign.train.ranks import alone
from openalign.train.state import open_pairs

if TYPE_CHECKING:
    from openalign.train.rank import TrainingSpec


def export_step(folder: str, step: int, *, spec: "TrainingSpec", output: str) -> None:
    """Write the model of a checkpoint that lies in a run's folder.

    Settings and vocabulary are the checkpoint's own; the training pairs, on which batch-norm
    statistics are estimated again, are those that `spec` names.

    Raises:
        StageError: the checkpoint is damaged.
    """
    ranks = alone()
    with tempfile.TemporaryDirectory(prefix="openalign-") as scratch:
        kept = CheckpointFolder(url=storage.join(folder, CHECKPOINTS_FOLDER), scratch=Path(scratch))
        found = find(kept, step, ranks)
        config = read_plain(TrainConfig, dict(found.manifest.settings), "the checkpoint")
        vocabulary = load_vocabulary(storage.join(folder, VOCABULARY_FILE))
        towers = build_towers(config, vocabulary_size=len(vocabulary))
        found.load_towers(towers)
    index = TrainingIndex(paths_on_this_machine(spec.index))
    data = open_pairs(config, index, vocabulary, ShardReader(spec.shards, places=spec.places))
    share = block_share(config, rank=0, world_size=1)
    towers = towers.to(ranks.device)
    settle_statistics(towers, towers, data, share, config)
    weights: Mapping[str, Tensor] = {name: t.cpu() for name, t in towers.state_dict().items()}
    write_export(output, weights=weights, vocabulary=vocabulary, model=config.model)
