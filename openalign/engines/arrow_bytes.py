"""Batches as bytes, as they cross a shuffle or an edge that a runner does not fuse."""

from collections.abc import Iterable

import polars as pl
import pyarrow as pa
from apache_beam.coders import Coder
from apache_beam.coders.typecoders import registry

SHUFFLE_BYTES = 1 << 20
"""Upper size of a value in a shuffle. Larger values cost more a byte, smaller ones more a call."""


# Compression halves text in less time than a shuffle takes to copy it. A batch is compressed as a
# whole: Arrow's own compression, column by column, takes thirty times as long for a small one.
_CODEC = pa.Codec("lz4_raw")
_OPTIONS = pa.ipc.IpcWriteOptions()  # made once: the default is looked up for each stream
_SIZE_BYTES = 8


class ArrowCoder(Coder):
    """Arrow IPC for edges that a runner does not fuse: pickle would send a slice's whole parent."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Return the batch as bytes."""
        return to_ipc(value)

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Return the batch that they hold."""
        return from_ipc(encoded)

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """Return about how many bytes a batch has; without this, Beam encodes it to count them."""
        return value.nbytes

    def is_deterministic(self) -> bool:
        """Batches are never keys."""
        return False


registry.register_coder(pa.RecordBatch, ArrowCoder)


def to_ipc(batch: pa.RecordBatch) -> bytes:
    """Return a batch as Arrow IPC bytes, compressed, behind their size."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_OPTIONS) as writer:
        writer.write_batch(batch)
    content = sink.getvalue()
    return content.size.to_bytes(_SIZE_BYTES, "little") + _CODEC.compress(content, asbytes=True)


def from_ipc(encoded: bytes) -> pa.RecordBatch:
    """Return the batch that `to_ipc` wrote."""
    size = int.from_bytes(encoded[:_SIZE_BYTES], "little")
    content = _CODEC.decompress(memoryview(encoded)[_SIZE_BYTES:], size)
    with pa.ipc.open_stream(content) as reader:
        return reader.read_next_batch()


def gathered(pieces: Iterable[bytes]) -> pl.DataFrame:
    """Return the rows of pieces of one schema, at least one, one piece after the other."""
    # One chunk: polars takes as long for a chunk as for hundreds of rows.
    return pl.DataFrame(pa.Table.from_batches(map(from_ipc, pieces)).combine_chunks())
