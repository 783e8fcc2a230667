import threading
from collections.abc import Callable, Generator
from contextlib import closing

import pytest
import torch

from openalign.train.data.worker_threads import WorkerThreads


def nothing() -> None:
    """Do nothing while one waits."""


@pytest.fixture
def threads() -> Generator[WorkerThreads]:
    with closing(WorkerThreads(2, name="spinner")) as made:
        yield made


def names() -> list[str]:
    return sorted(t.name for t in threading.enumerate() if t.name.startswith("spinner"))


def test_results_come_in_the_order_of_items(threads: WorkerThreads) -> None:
    released = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert released.wait(10)
        else:
            released.set()
        return number * number

    assert threads.map(work, [0, 1, 2, 3], while_waiting=nothing) == [0, 1, 4, 9]
    assert threads.map(work, [], while_waiting=nothing) == []


def test_items_are_worked_on_at_the_same_time(threads: WorkerThreads) -> None:
    """Each waits for the other."""
    both = threading.Barrier(2)

    arrived = threads.map(lambda _: both.wait(10), [0, 1], while_waiting=nothing)

    assert sorted(arrived) == [0, 1]  # a number each, of the two that met


def test_an_error_is_raised_and_the_threads_go_on(threads: WorkerThreads) -> None:
    def work(number: int) -> int:
        if number == 1:
            raise ValueError("item 1")
        return number

    with pytest.raises(ValueError, match="item 1"):
        threads.map(work, list(range(100)), while_waiting=nothing)
    assert threads.map(work, [2, 3], while_waiting=nothing) == [2, 3]


def test_who_waits_may_give_up(threads: WorkerThreads) -> None:
    """Of what no thread has begun nothing is done; the thread that is stuck is left behind."""
    stuck, began = threading.Event(), list[int]()

    def work(number: int) -> None:
        began.append(number)
        stuck.wait(60)

    def give_up() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        threads.map(work, [0, 1, 2, 3], while_waiting=give_up)
    threads.close()
    assert len(names()) == 2
    stuck.set()
    for thread in threading.enumerate():
        if thread.name.startswith("spinner"):
            thread.join(10)
    assert sorted(began) == [0, 1]


def test_a_closed_pool_has_no_threads() -> None:
    made = WorkerThreads(3, name="spinner")
    assert names() == ["spinner-0", "spinner-1", "spinner-2"]

    made.close()

    assert names() == []


def test_torch_starts_no_threads_for_these_and_as_many_as_before_for_others() -> None:
    def found(run: Callable[[], int]) -> int:
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(run()))
        thread.start()
        thread.join()
        return seen[0]

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with closing(WorkerThreads(2, name="spinner")) as threads:
            inside = threads.map(
                lambda _: torch.get_num_threads(), [0, 1, 2, 3], while_waiting=nothing
            )
            assert inside == [1, 1, 1, 1]
            assert torch.get_num_threads() == found(torch.get_num_threads) == 2
    finally:
        torch.set_num_threads(before)
