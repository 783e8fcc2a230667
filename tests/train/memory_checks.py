"""What a rank keeps for itself of a large training index, for test_private_memory.py."""

import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import torch

from openalign.train import state
from openalign.train.checkpoints.manifest import Progress
from openalign.train.config import TrainConfig
from openalign.train.data.held_out import orders_of
from openalign.train.data.index import TrainingIndex
from openalign.train.data.preprocess import SPECIAL_TOKENS
from openalign.train.data.shard_reading import open_shards


def run(few: Sequence[Path], many: Sequence[Path], config: TrainConfig, folder: str) -> None:
    """Be a rank that sets its data up: note the bytes that it keeps, and has at most, for many
    pairs beyond those for few."""
    held = [_set_up(few, config, folder)]  # threads, libraries and pools of memory are there now
    before = _private_bytes()
    held.append(_set_up(many, config, folder))
    kept = _private_bytes() - before
    of_arrow = pa.default_memory_pool().bytes_allocated()
    tracemalloc.start()
    held.append(_set_up(many, config, folder))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    most += pa.default_memory_pool().bytes_allocated() - of_arrow
    Path(folder, "found.json").write_text(json.dumps({"kept": kept, "most": most}))


def _set_up(paths: Sequence[Path], config: TrainConfig, folder: str) -> Any:
    """Return what a rank has of its data, as `rank.run` and `state.set_up` make it."""
    index = TrainingIndex(paths)
    shards = open_shards(
        "memory://nowhere",
        places={},
        index=index,
        identity="fetched",
        cache_mb=config.shard_cache_mb,
        cache=Path(folder, "cache"),
    )
    inputs: Any = SimpleNamespace(
        index=index, shards=shards, vocabulary=[*SPECIAL_TOKENS, "a"], pretrained=None
    )
    orders, progress = orders_of(config, index), Progress(sample_hash="")
    opened = state._opened(config, inputs, orders, progress, device=torch.device("cpu"))
    for pairs in opened:
        if pairs is not None:
            rows = pairs.rows(0, config.global_batch_size)
            assert len(index.keys(rows)) == len(index.alt_texts(rows)) == len(rows)
    return opened


def _private_bytes() -> int:
    """Return the memory of this process that no file stands behind, resident or not.

    Pages of a mapped file that only this process has mapped so far count as private, too, and are
    not: the other ranks map the same.
    """
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines[1:]}
    return 1024 * (int(found["Anonymous"]) + int(found["Swap"]))
