"""A page's tags in one pass, in time linear in its length. No tree is made."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from openalign.ingest.webpage.texts import names

VOID_TAGS = names("area base br col embed hr img input link meta param source track wbr")
"""Elements without content and without an end tag."""

CDATA_START = "<![CDATA["
CDATA_END = "]]>"

_ATTRIBUTE = (
    r"""[\t\n\f\r /]*+[^\t\n\f\r />][^\t\n\f\r />=]*+"""
    r"""(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+(?:"[^"]*+"|'[^']*+'|[^\t\n\f\r >"'][^\t\n\f\r >]*+)?)?"""
)
# A tag that is cut off ends with the page, so that no search begins anew behind it.
_TAG = re.compile(
    rf"<(/?)([A-Za-z][^\t\n\f\r />]*+)((?:{_ATTRIBUTE})*+)[\t\n\f\r ]*+(/?)[\t\n\f\r /]*+(?:>|\Z)"
)
_ATTRIBUTES = re.compile(_ATTRIBUTE)
# Elements whose content is text, whatever it looks like.
_TEXT_ENDS = {
    name: re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE)
    for name in names("iframe noembed noframes script style textarea title xmp")
}
# What ends drawings and formulas, in which no element holds mere text (HTML 13.2.6.5).
FOREIGN = frozenset(("math", "svg"))
ENDS_FOREIGN = names(
    "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li"
    " listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul"
    " var"
)


class Tag(NamedTuple):
    """A start tag or an end tag."""

    name: str
    """In lower case; as the page spells it in XML."""

    is_end: bool
    is_empty: bool
    """Whether a slash at its end makes it an element without content."""

    is_foreign: bool
    """Whether it stands in a drawing or a formula, where the rules of HTML do not hold."""

    attributes: str
    start: int
    end: int
    """Where it lies in the text."""

    @property
    def num_attributes(self) -> int:
        """Return how many attributes it has."""
        return sum(1 for _ in _ATTRIBUTES.finditer(self.attributes))


def tags(text: str, *, is_xml: bool = False) -> Iterator[Tag]:
    """Yield the tags of a page; what lies in comments, scripts and other mere text is passed over.

    In XML a script is an element like others, and a slash closes every tag.
    """
    place = 0
    num_foreign = 0
    while (place := text.find("<", place)) >= 0:
        found = _TAG.match(text, place)
        if found is None:
            place = _behind_declaration(text, place, is_xml=is_xml)
            continue
        name = found[2] if is_xml else found[2].lower()
        is_end = bool(found[1])
        if name in (("br", "p") if is_end else ENDS_FOREIGN):
            num_foreign = 0
        is_empty = bool(found[4]) and (is_xml or num_foreign > 0 or name in FOREIGN)
        yield Tag(name, is_end, is_empty, num_foreign > 0, found[3], found.start(), found.end())
        place = found.end()
        if name in FOREIGN and not is_empty:
            num_foreign = max(0, num_foreign - 1) if is_end else num_foreign + 1
        if not (is_end or is_xml or num_foreign) and (ends := _TEXT_ENDS.get(name)):
            end = ends.search(text, place)
            place = end.start() if end else len(text)


def _behind_declaration(text: str, place: int, *, is_xml: bool) -> int:
    """Return where a comment, a declaration or a lone `<` ends."""
    if text.startswith("<!--", place):
        # The dashes that open a comment of HTML may be those that close it.
        return _behind("-->", text, place + (4 if is_xml else 2))
    if is_xml and text.startswith(CDATA_START, place):
        return _behind(CDATA_END, text, place)
    if text.startswith(("<!", "<?", "</"), place):
        return _behind(">", text, place)
    return place + 1


def _behind(mark: str, text: str, place: int) -> int:
    found = text.find(mark, place)
    return found + len(mark) if found >= 0 else len(text)
