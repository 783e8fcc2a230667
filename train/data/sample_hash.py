"""The running hash of what training has drawn: row numbers of every global batch, in order.

An image that was replaced counts as what it was drawn as: `replaced.jsonl` names the pairs.

The hash begins with the sha256 of the training index's files, so a row number stands for one pair.
It needs no read of the index, and a thread is a few steps ahead with it: it costs a step nothing.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing

from openalign.read_ahead import made_ahead
from openalign.train.data.order import RowNumbers

_NUM_AHEAD = 4


def first_hash(index_sha256s: Sequence[str]) -> str:
    """Return the hash before the first step."""
    return hashlib.sha256("\n".join(index_sha256s).encode()).hexdigest()


def joined_hash(before: str, index_hash: str) -> str:
    """Return the hash after which row numbers are those of another index.

    `index_hash` is what `first_hash` returns for it.
    """
    return hashlib.sha256(bytes.fromhex(before) + bytes.fromhex(index_hash)).hexdigest()


def next_hash(before: str, rows: RowNumbers) -> str:
    """Return the hash after a global batch: of the hash before it, and its rows as 64-bit numbers.

    The numbers are little-endian.
    """
    digest = hashlib.sha256(bytes.fromhex(before))
    digest.update(rows.astype("<i8", copy=False).data)
    return digest.hexdigest()


def hashes_after(before: str, steps: range, rows_of: Callable[[int], RowNumbers]) -> Generator[str]:
    """Yield the hash after each step, made ahead in a thread.

    The thread ends with the generator: close it when leaving early.
    """

    def follow() -> Iterator[str]:
        found = before
        for step in steps:
            found = next_hash(found, rows_of(step))
            yield found

    with closing(made_ahead(follow(), num_ahead=_NUM_AHEAD, name="sample hash")) as made:
        yield from made
