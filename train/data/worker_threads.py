"""Threads that share the work on a batch.

They are daemons: one that the system does not let go of, such as in a read of a file server that is
gone, ends with the process and holds up nobody.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from queue import SimpleQueue
from typing import Any, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_END = 1.0

_Job = tuple[Future[Any], Callable[[Any], Any], Any]


class WorkerThreads:
    """Threads that run the same function on many items; close them."""

    def __init__(self, num_threads: int, *, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._started = threading.Barrier(num_threads + 1)
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(num_threads)
        ]
        # Torch keeps a number for each thread, but hands new threads the one that was set last.
        num_torch_threads = torch.get_num_threads()
        for thread in self._threads:
            thread.start()
        self._started.wait()
        torch.set_num_threads(num_torch_threads)

    def map(
        self, work: Callable[[T], R], items: Sequence[T], *, while_waiting: Callable[[], None]
    ) -> list[R]:
        """Return what `work` makes of each item, in order.

        `while_waiting` is called every now and then until all is done. What it raises, and the
        first error of an item, is raised at once: the items that no thread has begun are dropped.
        """
        futures: list[Future[R]] = [Future() for _ in items]
        for future, item in zip(futures, items, strict=True):
            self._jobs.put((future, work, item))
        try:
            while (waited := _wait(futures)).not_done:
                for future in waited.done:
                    future.result()
                while_waiting()
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End the threads; one that is stuck is left behind."""
        for _ in self._threads:
            self._jobs.put(None)
        ends = time.monotonic() + _SECONDS_TO_END
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def _work(self) -> None:
        # These threads are the parallelism: Torch must not start more. It looks up the number at
        # its first use in a thread, and what is set before is lost.
        torch.get_num_threads()
        torch.set_num_threads(1)
        self._started.wait()
        while (job := self._jobs.get()) is not None:
            future, work, item = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work(item))
            except BaseException as error:  # noqa: BLE001  # raised again where it is awaited
                future.set_exception(error)


def _wait(futures: Sequence[Future[Any]]) -> Any:
    return wait(futures, timeout=_SECONDS_BETWEEN_LOOKS, return_when=FIRST_EXCEPTION)
