"""What an element has from the elements around it, without taking a step twice."""

from typing import TypeVar

from selectolax.lexbor import LexborNode

T = TypeVar("T")


def inherited(start: LexborNode | None, known: dict[int, T | None]) -> T | None:
    """Return what the innermost element from `start` outward is known for, None if no one is.

    `known` says so by `mem_id`. It also keeps the answers for the elements that are passed, so many
    questions about one page take no more steps than the page has elements.
    """
    passed: list[int] = []
    found: T | None = None
    node = start
    while node is not None:
        place = node.mem_id
        if place in known:
            found = known[place]
            break
        passed.append(place)
        node = node.parent
    known.update(dict.fromkeys(passed, found))
    return found
