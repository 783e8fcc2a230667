import hashlib
import threading
from contextlib import closing

import numpy as np

from openalign.train.data.order import RowNumbers
from openalign.train.data.sample_hash import first_hash, hashes_after


def rows_of(step: int) -> RowNumbers:
    return np.array([step, 300 * step, 7], dtype=np.int64)


def slow_hashes(before: str, steps: range) -> list[str]:
    """The obvious form: each number's eight bytes, lowest first."""
    found = []
    for step in steps:
        numbers = b"".join(int(row).to_bytes(8, "little") for row in rows_of(step))
        before = hashlib.sha256(bytes.fromhex(before) + numbers).hexdigest()
        found.append(before)
    return found


def test_hashes_made_ahead_equal_the_obvious_form() -> None:
    before = first_hash(["ab", "cd"])

    assert list(hashes_after(before, range(3, 12), rows_of)) == slow_hashes(before, range(3, 12))


def test_a_resumed_hash_goes_on() -> None:
    before = first_hash(["ab"])
    whole = list(hashes_after(before, range(8), rows_of))

    assert list(hashes_after(whole[4], range(5, 8), rows_of)) == whole[5:]


def test_the_hash_depends_on_order_and_on_the_index() -> None:
    def last(index: str, rows: list[list[int]]) -> str:
        steps = range(len(rows))
        return [*hashes_after(first_hash([index]), steps, lambda step: np.array(rows[step]))][-1]

    found = {
        last("a", [[1], [2]]),
        last("a", [[2], [1]]),
        last("a", [[1, 2]]),
        last("b", [[1], [2]]),
        last("a", [[2]]),
    }
    assert len(found) == 5


def test_the_thread_of_hashes_ends_with_the_generator() -> None:
    with closing(hashes_after(first_hash([]), range(1000), rows_of)) as hashes:
        next(hashes)
        assert "sample hash" in [thread.name for thread in threading.enumerate()]

    assert "sample hash" not in [thread.name for thread in threading.enumerate()]
