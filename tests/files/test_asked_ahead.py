"""How much is read ahead of its use."""

import threading

import pytest
from patience import wait_for

from openalign.files.remote_reads import AskedAhead, Stretch

LENGTH = 100


class Store:
    """Counts reads, and the most bytes that were read or begun and not taken."""

    def __init__(self) -> None:
        self.begun: list[Stretch] = []
        self.num_taken = 0
        self.most_bytes = 0
        self._lock = threading.Lock()

    def read(self, stretch: Stretch) -> bytes:
        with self._lock:
            self.begun.append(stretch)
            self.most_bytes = max(self.most_bytes, (len(self.begun) - self.num_taken) * LENGTH)
        return bytes([stretch.offset]) * LENGTH


@pytest.fixture
def store() -> Store:
    return Store()


def stretches(count: int) -> list[Stretch]:
    return [Stretch("a.tar", number, LENGTH) for number in range(count)]


def test_no_more_is_read_ahead_than_a_number_of_bytes(store: Store) -> None:
    """Ten stretches of 100 fill 1,000 bytes: each of 40 that is taken lets another one begin."""
    ahead = AskedAhead(store.read, most_bytes=1000)

    ahead.ask(stretches(40))

    for number, stretch in enumerate(stretches(40)):
        wait_for(lambda seen=number: len(store.begun) == min(40, seen + 10), "the next to begin")
        store.num_taken += 1
        assert ahead.read(stretch) == bytes([number]) * LENGTH
    assert store.most_bytes == 1000
    assert sorted(store.begun) == stretches(40)


def test_what_is_wanted_is_read_though_there_is_no_room(store: Store) -> None:
    ahead = AskedAhead(store.read, most_bytes=2 * LENGTH)
    ahead.ask(stretches(5))
    wait_for(lambda: len(store.begun) == 2, "as many as there is room for")

    found = [ahead.read(stretch) for stretch in reversed(stretches(5))]

    assert found == [bytes([number]) * LENGTH for number in (4, 3, 2, 1, 0)]
    assert sorted(store.begun) == stretches(5)


def test_a_stretch_that_is_larger_than_the_room_is_read_ahead_alone(store: Store) -> None:
    ahead = AskedAhead(store.read, most_bytes=1)

    ahead.ask(stretches(2))

    wait_for(lambda: len(store.begun) == 1, "the first")
    store.num_taken += 1
    assert ahead.read(stretches(2)[0]) == bytes(LENGTH)
    wait_for(lambda: len(store.begun) == 2, "the second")
    assert store.most_bytes == LENGTH


def test_what_is_dropped_makes_room_and_is_read_again_where_it_is_wanted(store: Store) -> None:
    ahead = AskedAhead(store.read, most_bytes=2 * LENGTH)
    first, second, third, fourth, fifth = stretches(5)
    ahead.ask([first, second, third, fourth])
    wait_for(lambda: len(store.begun) == 2, "the first two")

    ahead.drop([first, third, fifth])

    wait_for(lambda: store.begun[2:] == [fourth], "the one that is left")
    assert ahead.read(first) == bytes(LENGTH)
    assert store.begun[3:] == [first]


def test_threads_end_when_there_is_no_more_to_read(store: Store) -> None:
    before = set(threading.enumerate())
    ahead = AskedAhead(store.read, most_bytes=LENGTH)
    ahead.ask(stretches(5))
    wait_for(lambda: len(store.begun) == 1, "the first")
    own = set(threading.enumerate()) - before

    ahead.close()

    assert len(own) == 5
    wait_for(lambda: own.isdisjoint(threading.enumerate()), "the end of the threads")
    assert len(store.begun) == 1
