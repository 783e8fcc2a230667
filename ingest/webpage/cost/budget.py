"""What a page may cost, counted in steps and never in seconds, so that no machine decides.

A parser of HTML takes time in proportion to the product of a page's tags and their depth, and to
the square of the attributes of one tag. Both are bounded before it begins.
"""

from collections.abc import Iterator

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

_TAGS_BETWEEN_LOOKS = 256
"""Tags that are counted before it is seen whether the others can still be too much."""

_Bytes = npt.NDArray[np.uint8]

_BEFORE_ATTRIBUTE = np.isin(np.arange(256), [*range(ord(" ") + 1), *b"/\"'"])
"""Characters of which each attribute has one before it that is before no other: white space, a
slash, or a mark of the quoted value that it follows at once."""

_IS_LETTER = np.isin(np.arange(256), [*b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"])


class PageTooComplexError(ValueError):
    """A page would cost more than its budget; it says what of."""


def require_parsable(page: bytes) -> None:
    """Check that a page, in UTF-8, can be parsed within its budget.

    Most pages are known to be cheap by a bound that takes no time. Only where the bounds do not
    tell are tags counted one by one.

    Raises:
        PageTooComplexError: it cannot.
    """
    # An attribute takes two bytes at least, and a tag three; the last may lack one.
    if (len(page) + 1) ** 2 // 8 <= MAX_PARSER_STEPS and len(page) <= MAX_TAGS:
        return
    content = np.frombuffer(page, np.uint8)  # numpy counts bytes faster than Python does
    # As many as there are tags and, because the marks before attributes precede `<` in ASCII, more
    # than all attributes.
    most_marks = int(np.count_nonzero(content <= ord("<")))
    if most_marks * (most_marks + 1) <= 2 * MAX_PARSER_STEPS and most_marks <= MAX_TAGS:
        return
    num_tags = int(np.count_nonzero(content == ord("<")))
    if num_tags > MAX_TAGS:
        raise PageTooComplexError(f"it has more than {MAX_TAGS} tags")
    # All tags in one another, all attributes in one. What precedes an attribute comes before the
    # digits in ASCII.
    most_attributes = int(np.count_nonzero(content < ord("0")))
    if (num_tags * (num_tags + 1) + most_attributes**2) // 2 <= MAX_PARSER_STEPS:
        return
    marks = Marks(content)
    attribute_steps = marks.most_attribute_steps()
    most_depths = marks.most_depths()
    if int(most_depths.sum()) + attribute_steps <= MAX_PARSER_STEPS:
        return
    if _exceeds_budget(page.decode(), most_depths, attribute_steps):
        raise PageTooComplexError("it is nested too deeply, or a tag has too many attributes")


def require_readable(num_elements: int) -> None:
    """Check that a page has no more elements to read than its budget.

    Raises:
        PageTooComplexError: it has.
    """
    if num_elements > MAX_ELEMENTS:
        raise PageTooComplexError(f"it has more than {MAX_ELEMENTS} images and links")


def are_short(num_chars: int) -> bool:
    """Tell whether a page's pairs are no longer than its budget."""
    return num_chars <= MAX_PAIR_CHARS


def require_short(num_chars: int) -> None:
    """Check that a page's pairs are no longer than its budget.

    Raises:
        PageTooComplexError: they are.
    """
    if not are_short(num_chars):
        raise PageTooComplexError(f"its pairs have more than {MAX_PAIR_CHARS} characters")


class Marks:
    """Where the characters of a page stand that its tags are made of; in UTF-8, to be fast."""

    def __init__(self, content: _Bytes) -> None:
        self._content = content
        self.tags = np.flatnonzero(content == ord("<"))
        self._ends = np.flatnonzero(content == ord(">"))
        self._attributes = np.flatnonzero(_BEFORE_ATTRIBUTE.take(content))

    def most_depths(self) -> npt.NDArray[np.int64]:
        """Return a bound on the depth at each tag, or what looks like one: no element ever ends."""
        behind = self._content[np.minimum(self.tags + 1, len(self._content) - 1)]
        return np.cumsum(_IS_LETTER[behind], dtype=np.int64)

    def most_attribute_steps(self) -> int:
        """Return a bound on the steps for attributes: as if each stretch were a single tag.

        A stretch goes from the first `<` behind an end of a tag to the next such end. Ends that may
        stand in a quoted value are none, so a tag lies in one stretch, whatever its quotes hide.
        """
        ends = self._ends[~(self._may_be_quoted(ord('"')) | self._may_be_quoted(ord("'")))]
        stops = np.append(ends, len(self._content))
        firsts = np.searchsorted(self.tags, np.append(0, ends))
        has_tag = firsts < len(self.tags)
        starts, stops = self.tags[firsts[has_tag]], stops[has_tag]
        is_long = stops - starts >= _SHORT_TAG_CHARS - 1
        counts = np.searchsorted(self._attributes, stops[is_long]) - np.searchsorted(
            self._attributes, starts[is_long]
        )
        return int((counts.astype(np.int64) ** 2).sum()) // 2

    def _may_be_quoted(self, mark: int) -> npt.NDArray[np.bool_]:
        """Tell of each `>` whether a value may go on there that began with a quotation mark.

        It may where the last mark before it is one that opens a value: behind a `=`, or white space
        behind one. Of white space, two characters are looked at.
        """
        content = self._content
        marks = np.flatnonzero(content == mark)
        if not len(marks):
            return np.zeros(len(self._ends), np.bool_)
        before, further = (content[np.maximum(marks - back, 0)] for back in (1, 2))
        is_spaced = (further == ord("=")) | (further <= ord(" "))
        opens = (before == ord("=")) | ((before <= ord(" ")) & is_spaced)
        last = np.searchsorted(marks, self._ends) - 1
        return (last >= 0) & opens[np.maximum(last, 0)]


def _exceeds_budget(
    text: str, most_depths: npt.NDArray[np.int64], most_attribute_steps: int
) -> bool:
    """Tell whether a parser takes too many steps; stop once what is left cannot be too much."""
    sums = np.cumsum(most_depths)
    for number, (num_steps, depth) in enumerate(_steps(text), 1):
        if num_steps > MAX_PARSER_STEPS:
            return True
        if number % _TAGS_BETWEEN_LOOKS == 0:
            # From here on each tag may open one more element than are open.
            opened = depth - int(most_depths[number - 1])
            left = int(sums[-1] - sums[number - 1]) + opened * (len(sums) - number)
            if num_steps + left + most_attribute_steps <= MAX_PARSER_STEPS:
                return False
    return False


def parser_steps(text: str) -> int:
    """Return the steps that a parser takes for a page, or somewhat more."""
    return max((num_steps for num_steps, _ in _steps(text)), default=0)


def _steps(text: str) -> Iterator[tuple[int, int]]:
    """Yield at each tag the steps so far, and how many elements are open."""
    num_steps = 0
    open_tags = OpenTags()
    for tag in tags(text):
        open_tags.see(tag)
        num_steps += open_tags.depth
        if tag.end - tag.start >= _SHORT_TAG_CHARS:
            num_steps += tag.num_attributes**2 // 2
        yield num_steps, open_tags.depth
