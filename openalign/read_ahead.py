"""Items that are made in a thread while the caller works on the ones before them."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

_END = object()
_SECONDS_BETWEEN_LOOKS = 0.1


def made_ahead(items: Iterator[T], *, num_ahead: int, name: str) -> Generator[T]:
    """Yield what `items` yields; a thread called `name` is `num_ahead` items ahead of the caller.

    The thread ends with the generator: close it when leaving early. An error of `items` is raised
    where the item that it prevented is awaited.
    """
    made: queue.Queue[object] = queue.Queue(maxsize=num_ahead)
    ended = threading.Event()
    failures: list[BaseException] = []

    def put(item: object) -> None:
        while not ended.is_set():
            try:
                made.put(item, timeout=_SECONDS_BETWEEN_LOOKS)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put(item)
                if ended.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  # raised again where the item is awaited
            failures.append(error)
        put(_END)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not _END:
            yield item  # pyright: ignore[reportReturnType]  # only items lie before the end
        if failures:
            raise failures[0]
    finally:
        ended.set()
        thread.join()
