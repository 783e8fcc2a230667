"""The model of a checkpoint as a Hugging Face folder, made by one process without an engine."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from openalign.files import storage
from openalign.files.names import CHECKPOINTS_FOLDER, VOCABULARY_FILE
from openalign.files.shards import ShardReader
from openalign.settings.yaml_reader import read_plain
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.resume import find
from openalign.train.config import TrainConfig
from openalign.train.data.pairs import Batch, TrainingSet, read_training
from openalign.train.data.preprocess import build_tokenizer
from openalign.train.data.vocabulary import load_vocabulary
from openalign.train.model.export import preprocess_of, write_export
from openalign.train.model.towers import (
    Towers,
    batch_norm_statistics,
    build_towers,
    reestimate_batch_norm,
)
from openalign.train.ranks import RankGroup, alone

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
    preprocess = preprocess_of(config.model)
    data = TrainingSet(
        read_training(spec.training),
        shards=ShardReader(spec.shards, places=spec.places),
        preprocess=preprocess,
        tokenizer=build_tokenizer(vocabulary, preprocess),
        augmentation=config.augmentation,
        seed=config.seed,
        decode_threads=config.decode_threads,
        image_cache_mb=config.image_cache_mb,
    )
    num_ranks = found.progress.starts[-1].world_size
    _settle_batch_norm(towers.to(ranks.device), data, config, ranks, num_ranks=num_ranks)
    weights: Mapping[str, Tensor] = {name: t.cpu() for name, t in towers.state_dict().items()}
    write_export(output, weights=weights, vocabulary=vocabulary, model=config.model)


def _settle_batch_norm(
    towers: Towers, data: TrainingSet, config: TrainConfig, ranks: RankGroup, *, num_ranks: int
) -> None:
    """Estimate the batch-norm statistics as the ranks of the run do: each on its own share."""
    to = partial(torch.Tensor.to, device=ranks.device)
    forward: Callable[[Batch], object] = lambda batch: towers(  # noqa: E731
        to(batch.pixels), to(batch.tokens.ids), to(batch.tokens.mask)
    )
    statistics = batch_norm_statistics(towers)
    sums = [torch.zeros_like(buffer) for buffer in statistics]
    for rank in range(num_ranks):
        batches = data.batches(
            0,
            config.batch_norm_batches,
            global_batch_size=config.global_batch_size,
            rank=rank,
            world_size=num_ranks,
        )
        with closing(batches):
            reestimate_batch_norm(towers, forward, batches)
        torch._foreach_add_(sums, statistics)
    torch._foreach_div_(sums, num_ranks)
    torch._foreach_copy_(statistics, sums)
