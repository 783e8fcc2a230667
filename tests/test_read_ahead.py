import threading
from collections.abc import Iterator

import pytest

from openalign.read_ahead import made_ahead


def test_items_come_in_their_order() -> None:
    assert list(made_ahead(iter(range(50)), num_ahead=3, name="numbers")) == list(range(50))


def test_no_more_items_are_made_than_asked_for() -> None:
    made: list[int] = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number == 3:
                enough.set()
            yield number

    found = made_ahead(items(), num_ahead=2, name="numbers")
    assert next(found) == 0
    assert enough.wait(10)  # 0 is with the caller, 1 and 2 wait, 3 has no place yet

    assert made == [0, 1, 2, 3]
    found.close()


def test_an_error_is_raised_where_its_item_is_awaited() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    found = made_ahead(items(), num_ahead=5, name="numbers")

    assert next(found) == 1
    with pytest.raises(ValueError, match="the second"):
        next(found)


def test_the_thread_ends_with_the_generator() -> None:
    found = made_ahead(iter(range(1000)), num_ahead=1, name="numbers")
    next(found)
    assert "numbers" in [thread.name for thread in threading.enumerate()]

    found.close()

    assert "numbers" not in [thread.name for thread in threading.enumerate()]
