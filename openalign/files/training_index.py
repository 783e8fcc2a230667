"""The training manifest for memory-mapping: Arrow files of fixed-width columns and texts.

Beside `training-00003-of-00064.parquet` lies `index-00003-of-00064.arrow`, with the same rows
(`schemas.TRAINING_INDEX`) as one uncompressed batch. Every process that maps it shares the system's
pages of it. The Parquet file is the manifest, and the index a function of it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.manifest import DataFile
from openalign.files.names import training_index_name
from openalign.files.schemas import TRAINING_INDEX

_NUM_IMAGES = b"num_images"
_HINT = "run `openalign select` again"


def write_training_index(folder: str, name: str, pairs: pa.Table) -> DataFile:
    """Write the index of the training file `name`, whose rows are `pairs` (`schemas.TRAINING`)."""
    numbers = pairs["image"].to_numpy()
    num_images = int(numbers.max()) + 1 if len(numbers) else 0
    metadata = {**(TRAINING_INDEX.metadata or {}), _NUM_IMAGES: str(num_images).encode()}
    schema = TRAINING_INDEX.with_metadata(metadata)
    table = _columns(pairs).cast(TRAINING_INDEX).replace_schema_metadata(metadata)
    index_name = training_index_name(name)
    with (
        storage.local_target(storage.join(folder, index_name)) as target,
        pa.ipc.new_file(target.path, schema) as writer,
    ):
        for batch in table.combine_chunks().to_batches():
            writer.write_batch(batch)
    return DataFile.of(index_name, target.written, num_rows=pairs.num_rows)


@dataclass(frozen=True, slots=True)
class MappedIndex:
    """One index file, memory-mapped."""

    num_rows: int
    num_images: int
    shards: pa.Array
    """The names of the shards, which `shard` has numbers of."""

    shard: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    xxh3: npt.NDArray[np.uint64]
    key: pa.Array
    alt_text: pa.Array


def map_training_index(path: Path) -> MappedIndex:
    """Map an index file; nothing but its ends is read.

    Raises:
        InputError: it is no such file, or one of another version.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        num_batches, schema = reader.num_record_batches, reader.schema
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} is no training index: {error}", hint=_HINT) from error
    if not schema.equals(TRAINING_INDEX) or num_batches > 1:
        raise InputError(f"{path} is a training index of another version", hint=_HINT)
    batch = reader.get_batch(0) if num_batches else _empty()
    shard = batch["shard"]
    return MappedIndex(
        num_rows=batch.num_rows,
        num_images=int((schema.metadata or {})[_NUM_IMAGES]),
        shards=shard.dictionary,
        shard=shard.indices.to_numpy(),
        offset=batch["offset"].to_numpy(),
        length=batch["length"].to_numpy(),
        image=batch["image"].to_numpy(),
        xxh3=batch["xxh3"].to_numpy(),
        key=batch["key"],
        alt_text=batch["alt_text"],
    )


def _columns(pairs: pa.Table) -> pa.Table:
    rows = pl.DataFrame(pairs)
    keys = rows["key"].str.decode("hex").to_arrow().cast(pa.binary(16))
    shards = pairs["shard"].combine_chunks().dictionary_encode()
    known = rows["xxh3"].fill_null(0).to_arrow()
    named = {"shard": shards, "key": keys, "xxh3": known}
    return pa.table({n: named[n] if n in named else pairs[n] for n in TRAINING_INDEX.names})


def _empty() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=TRAINING_INDEX)
