"""How a rank reads shards: those of a store through a cache that the ranks of a machine share."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from openalign.files.block_cache import BlockCache
from openalign.files.shards import ShardReader
from openalign.train.data.index import TrainingIndex

_CACHE = f"openalign-shards-{os.getuid()}"
"""In the temporary directory; other users could not write to it."""

_IMAGES_OF_A_SHARD = 0.8
"""At least so much of a shard is images: the rest is headers, padding and what stands beside."""

_MIB = 1 << 20


def open_shards(
    folder: str,
    *,
    places: Mapping[str, str],
    index: TrainingIndex,
    identity: str,
    cache_mb: int,
    cache: Path | None = None,
) -> ShardReader:
    """Return what reads the shards of a training index, whose bytes `identity` stands for.

    The cache lies in `cache`, or in a folder of the machine's temporary directory if None.
    """
    if cache_mb == 0:
        return ShardReader(folder, places=places)
    limit = cache_mb * _MIB
    kept = BlockCache(
        folder=cache or Path(tempfile.gettempdir()) / _CACHE,
        limit_bytes=limit,
        identity=identity,
        share=min(1.0, limit * _IMAGES_OF_A_SHARD / max(index.estimated_bytes(), 1)),
    )
    return ShardReader(folder, places=places, cache=kept)
