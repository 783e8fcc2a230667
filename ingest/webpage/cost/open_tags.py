"""How deep a page is at each tag, by the rules of HTML 13.2.6, without a tree.

A rule takes the same time at any depth, which is what the tree of a parser does not give. Where a
rule is left out, an element counts as open although a parser has closed it.
"""

from collections import Counter, defaultdict

from openalign.ingest.webpage.cost.markup import ENDS_FOREIGN, FOREIGN, VOID_TAGS, Tag
from openalign.ingest.webpage.texts import names

_FORMATTING = names("a b big code em font i nobr s small strike strong tt u")
"""A parser opens these again behind the end of the element around them."""

_CELLS = frozenset(("caption", "td", "th"))
_TABLE_PARTS = _CELLS | names("colgroup tbody tfoot thead tr")
_ITEMS = frozenset(("dd", "dt", "li"))
_BLOCKS = names(
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 header hgroup listing main menu nav ol p pre search section"
    " summary ul"
)
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_OPTION = frozenset(("option",))
_OPTIONS = _OPTION | {"optgroup"}
_ONLY_ONE = frozenset(("body", "head", "html"))
_MARKERS = _CELLS | names("applet marquee object template")
"""No formatting from outside is opened again in these."""

_SCOPES = _MARKERS | {"select", "table"}
_SPECIAL = (
    _SCOPES
    | _TABLE_PARTS
    | _ITEMS
    | _BLOCKS
    | names("button frameset iframe noembed noframes noscript")
)
_EMBEDS_HTML = names("annotation-xml desc foreignobject mi mn mo ms mtext title")
_GROUPS = {
    "(cell)": _CELLS,
    "(marker)": _MARKERS | {"select"},
    "(foreign)": FOREIGN,
    "(embeds html)": _EMBEDS_HTML,
    "(scope)": _SCOPES,  # no end tag reaches through these
    "(special)": _SPECIAL,  # nor through these, unless its element has a rule of its own
    "(beside items)": _SPECIAL - {"address", "div", "p"},  # nor does the next item of a list
}
_GROUPS_OF = {
    name: tuple(group for group, names in _GROUPS.items() if name in names)
    for name in _SPECIAL | FOREIGN | _EMBEDS_HTML
}
_CLOSED_FORM = "(closed form)"
_GROUPS_OF[_CLOSED_FORM] = _GROUPS_OF["form"]


class OpenTags:
    """The elements that are open at a tag."""

    def __init__(self) -> None:
        self._open: list[str] = []
        # Where each name, and each group of names, is open.
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        # Formatting that waits to be opened again, apart for each marker that hides it.
        self._waiting: list[Counter[str]] = [Counter()]
        self._num_waiting = 0

    @property
    def depth(self) -> int:
        """Return how many elements are open, or will be before the next text."""
        return len(self._open) + self._num_waiting

    def see(self, tag: Tag) -> None:
        """Open or close what a tag does."""
        if tag.is_end:
            self._close(tag.name)
        elif tag.is_foreign:
            if not tag.is_empty:
                self._push(tag.name)
        elif tag.name not in VOID_TAGS and not tag.is_empty and self._make_room(tag.name):
            self._push(tag.name)

    def _last(self, name: str) -> int:
        places = self._places[name]
        return places[-1] if places else -1

    def _push(self, name: str) -> None:
        for key in (name, *_GROUPS_OF.get(name, ())):
            self._places[key].append(len(self._open))
        if name in _MARKERS:
            self._waiting.append(Counter())
        self._open.append(name)

    def _pop_to(self, place: int) -> None:
        """Close every element from a place on; formatting waits to be opened again."""
        while len(self._open) > place:
            name = self._open.pop()
            if not name:
                continue  # closed before, out of order
            for key in (name, *_GROUPS_OF.get(name, ())):
                self._places[key].pop()
            if name in _MARKERS:
                self._num_waiting -= self._waiting.pop().total()
            elif name in _FORMATTING:
                self._waiting[-1][name] += 1
                self._num_waiting += 1

    def _make_room(self, name: str) -> bool:
        """Close what a start tag closes; return whether the tag opens an element."""
        if name in _ONLY_ONE:
            return False
        if name in ENDS_FOREIGN:
            while self._last("(foreign)") > self._last("(embeds html)"):
                self._pop_to(self._last("(foreign)"))
        if name in _TABLE_PARTS:
            return self._make_room_in_table(name)
        if name in _ITEMS:
            self._close_item(name)
        if name in _BLOCKS or name in _ITEMS:
            self._close_in_scope("p", below=self._last("button"))
            self._close_top(name, _HEADINGS, _HEADINGS)
        self._close_top(name, _OPTIONS, _OPTION)
        if name == "button":
            self._close_in_scope(name)
        elif name == "table" and self._last("(scope)") == self._last("table"):
            self._pop_to_last("table", above=-1)
        elif name in ("a", "nobr"):
            self._close_formatting(name)
        return True

    def _close_item(self, name: str) -> None:
        likes = ("li",) if name == "li" else ("dd", "dt")
        place = max(map(self._last, likes))
        if 0 <= place == self._last("(beside items)"):
            self._pop_to(place)

    def _close_top(self, name: str, closing: frozenset[str], closed: frozenset[str]) -> None:
        if name in closing and self._open and self._open[-1] in closed:
            self._pop_to(len(self._open) - 1)

    def _make_room_in_table(self, name: str) -> bool:
        table, template = self._last("table"), self._last("template")
        if table < template:
            return True
        if table < 0:
            return False
        row, cell = self._last("tr"), self._last("(cell)")
        if name not in ("td", "th"):
            self._pop_to(table + 1)
        elif cell > table:
            self._pop_to(cell)
        else:
            self._pop_to(max(table, row) + 1)
        return True

    def _close(self, name: str) -> None:
        if name in _FORMATTING:
            self._close_formatting(name)
        elif name == "template":
            self._pop_to_last(name, above=-1)
        elif name == "table" or name in _TABLE_PARTS:
            table = self._last("table")
            self._pop_to_last(name, above=max(self._last("template"), table - (name == "table")))
        elif name == "p":
            self._close_in_scope("p", below=self._last("button"))
        elif name == "li":
            self._close_in_scope(name, below=max(self._last("ol"), self._last("ul")))
        elif name == "form" and self._last(name) != len(self._open) - 1:
            self._close_alone(name)
        elif name in _SPECIAL and name != "noscript":
            self._close_in_scope(name)
        else:
            self._pop_to_last(name, above=self._last("(special)") - 1)

    def _close_in_scope(self, name: str, *, below: int = -1) -> None:
        # An element that is a scope itself is its own innermost scope.
        self._pop_to_last(name, above=max(below, self._last("(scope)") - 1))

    def _pop_to_last(self, name: str, *, above: int) -> None:
        place = self._last(name)
        if place > max(above, -1):
            self._pop_to(place)

    def _close_formatting(self, name: str) -> None:
        place = self._last(name)
        if place <= self._last("(marker)"):
            if self._waiting[-1][name]:
                self._waiting[-1][name] -= 1
                self._num_waiting -= 1
            return
        self._close_alone(name)
        if place > self._last("(special)"):
            self._pop_to(place)

    def _close_alone(self, name: str) -> None:
        """Close an element but none in it. It counts until the element around it ends."""
        if self._places[name]:
            place = self._places[name].pop()
            self._open[place] = ""
            if name == "form":
                self._open[place] = _CLOSED_FORM
                self._places[_CLOSED_FORM].append(place)
