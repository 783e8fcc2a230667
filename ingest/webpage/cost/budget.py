"""What a page may cost, counted in steps and never in seconds, so that no machine decides.

A parser of HTML takes time in proportion to the product of a page's tags and their depth, and to
the square of the attributes of one tag. Both are bounded before it begins.
"""

import numpy as np
import numpy.typing as npt

from openalign.ingest.webpage.cost.markup import tags
from openalign.ingest.webpage.cost.open_tags import OpenTags

MAX_PARSER_STEPS = 200_000_000
"""Steps of the parser: for each tag the elements around it, and half the square of its attributes.
About half a second."""

MAX_TAGS = 500_000
"""Tags of a page, which bounds what the rules below overlook."""

MAX_ELEMENTS = 100_000
"""Images, sources, links and other elements of a page that are read."""

MAX_PAIR_CHARS = 50_000_000
"""Characters of the addresses and texts of a page's pairs: many images can share one caption."""

_SHORT_TAG_CHARS = 256
"""Tags below this are cheap however many attributes they have, and are not counted through."""


class PageTooComplexError(ValueError):
    """A page would cost more than its budget; it says what of."""


def require_parsable(text: str) -> None:
    """Check that a page can be parsed within its budget.

    Raises:
        PageTooComplexError: it cannot.
    """
    # UTF-8 keeps ASCII characters, and numpy counts bytes faster than Python counts characters.
    content = np.frombuffer(text.encode(errors="replace"), np.uint8)
    num_tags = int(np.count_nonzero(content == ord("<")))
    if num_tags > MAX_TAGS:
        raise PageTooComplexError(f"it has more than {MAX_TAGS} tags")
    if _most_steps(content, num_tags) > MAX_PARSER_STEPS and parser_steps(text) > MAX_PARSER_STEPS:
        raise PageTooComplexError("it is nested too deeply, or a tag has too many attributes")


def require_readable(num_elements: int) -> None:
    """Check that a page has no more elements to read than its budget.

    Raises:
        PageTooComplexError: it has.
    """
    if num_elements > MAX_ELEMENTS:
        raise PageTooComplexError(f"it has more than {MAX_ELEMENTS} images and links")


def require_short(num_chars: int) -> None:
    """Check that a page's pairs are no longer than its budget.

    Raises:
        PageTooComplexError: they are.
    """
    if num_chars > MAX_PAIR_CHARS:
        raise PageTooComplexError(f"its pairs have more than {MAX_PAIR_CHARS} characters")


def _most_steps(content: npt.NDArray[np.uint8], num_tags: int) -> int:
    """Return a bound that costs next to nothing: all tags in one another, all attributes in one."""
    # Every attribute has white space, a slash or a quoted value before it. All of these characters
    # come before the digits; only where that is too many are the others told apart.
    most_attributes = int(np.count_nonzero(content < ord("0")))
    if most_attributes**2 > MAX_PARSER_STEPS:
        most_attributes = sum(int(np.count_nonzero(content == char)) for char in b"/\"'")
        most_attributes += int(np.count_nonzero(content <= ord(" ")))
    return (num_tags * (num_tags + 1) + most_attributes**2) // 2


def parser_steps(text: str) -> int:
    """Return the steps that a parser takes for a page, or somewhat more."""
    num_steps = 0
    open_tags = OpenTags()
    for tag in tags(text):
        open_tags.see(tag)
        num_steps += open_tags.depth
        if tag.end - tag.start >= _SHORT_TAG_CHARS:
            num_steps += tag.num_attributes**2 // 2
    return num_steps
