"""Work on parts of rows in threads: NumPy uses one core for all but products."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits


def in_parts(work: Callable[[slice], None], num_rows: int, *, step: int) -> None:
    """Call `work` for every `step` rows, some calls at a time.

    NumPy lets other threads run while it computes. Calls must write to their own rows only, so
    what comes out depends on neither the number of threads nor their order. A product in a call
    takes one core: its scores are looked at where they were made, while they are in the cache.
    """
    parts = [slice(at, min(at + step, num_rows)) for at in range(0, num_rows, step)]
    threads = min(len(parts), len(os.sched_getaffinity(0)))
    if threads < 2:
        for part in parts:
            work(part)
        return
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, parts):
            pass
