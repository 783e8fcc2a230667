"""Work on parts of rows in threads: NumPy uses one core for all but products."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits

_SMALLEST = 1 / 8
"""The least share of `step` that a part has, if there are as many rows: small products are slow."""


def in_parts(work: Callable[[slice], None], num_rows: int, *, step: int) -> None:
    """Call `work` for parts of at most `step` rows, some calls at a time.

    Parts are so cut that each core has as many of them. NumPy lets other threads run while it
    computes. Calls must write to their own rows only, so what comes out depends on neither the
    number of threads nor their order. A product in a call takes one core: its scores are looked at
    where they were made, while they are in the cache.

    A call may be inside a part of another. Two that overlap otherwise would set each other's limit
    on the cores of products, which is the process's.
    """
    cores = len(os.sched_getaffinity(0))
    turns = -(-num_rows // (step * cores))
    size = max(1, int(step * _SMALLEST), -(-num_rows // max(1, turns * cores)))
    parts = [slice(at, min(at + size, num_rows)) for at in range(0, num_rows, size)]
    threads = min(len(parts), cores)
    if threads < 2:
        for part in parts:
            work(part)
        return
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, parts):
            pass
