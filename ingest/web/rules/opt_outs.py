"""What withholds an answer or a page from us: X-Robots-Tag, meta elements, TDM, signals. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from openalign.ingest.web.rules.robots import AGENT, TRAINING, reservation, training_in

WITHHELD = frozenset(["noai", "noimageai", "noimageindex", "noindex", "noml", "none"])
_UNAVAILABLE_AFTER = "unavailable_after"
# Directives with a value of their own; another name before a colon limits what follows to an agent.
_WITH_VALUE = frozenset(
    (_UNAVAILABLE_AFTER, "max-snippet", "max-image-preview", "max-video-preview")
)
_AGENT_NAME = re.compile(r"([a-z][a-z0-9_.-]*+|\*)(?:/[a-z0-9_.+-]*+)?")
_COMMENT = re.compile(r"\([^()]*+\)")
"""Behind the name and version in a User-Agent, where owners copy them from."""
_PART = re.compile("[^,;]+")
_YEAR_FIRST = re.compile(r"(?<!\d)(?P<year>\d{4})([-/.]?)(?P<month>\d\d)\2(?P<day>\d\d)(?!\d)")
_YEAR_FIRST_SHORT = re.compile(
    r"(?<!\d)(?P<year>\d{4})([-/.])(?P<month>\d\d?)\2(?P<day>\d\d?)(?!\d)"
)
_WITH_POINTS = re.compile(r"\b(?P<day>\d\d?)\.(?P<month>\d\d?)\.(?P<year>\d{4})\b")
_DAY_FIRST = re.compile(
    r"\b(?P<day>\d\d?)[ -](?P<month>[a-z]{3})[a-z]*[-, ]+(?P<year>\d{4}|\d\d)\b"
)
_MONTH_FIRST = re.compile(
    r"\b(?P<month>[a-z]{3})[a-z]* {1,2}(?P<day>\d\d?)"
    r"(?: \d\d:\d\d:\d\d(?: [a-z]{1,5})?)?,? (?P<year>\d{4})\b"
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DATE_CHARS = 64


def opt_out_in(headers: Iterable[tuple[str, str]], *, as_of: date) -> str | None:
    """Return the header that withholds an answer from us, or None.

    Header names are in lower case; a name may stand more than once.
    """
    for name, value in headers:
        if name == "x-robots-tag" and (directive := withheld_by(value, as_of=as_of)):
            return f"X-Robots-Tag: {directive}"
        if name == "tdm-reservation" and any(map(_is_one, value.split(","))):
            return "TDM-Reservation: 1"
        if name in TRAINING and training_in(name, value) is False:
            return reservation(name)
    return None


def _is_one(part: str) -> bool:
    """Tell whether a part of a value is 1; quotation marks and parameters change nothing."""
    return part.partition(";")[0].strip(" \t\"'") == "1"


def opt_out_on_page(directives: Sequence[str], *, reserves_tdm: bool, as_of: date) -> str | None:
    """Return what withholds a page: a directive of its robots meta elements, or TDM. Or None."""
    for content in directives:
        if directive := withheld_by(content, as_of=as_of):
            return directive
    return "tdm-reservation" if reserves_tdm else None


def withheld_by(value: str, *, as_of: date) -> str | None:
    """Return the directive in a robots header or meta element that withholds, or None.

    `unavailable_after` withholds where its date lies before `as_of`.
    """
    for name, behind in _directives(value):
        if name in WITHHELD:
            return name
        if name == _UNAVAILABLE_AFTER and (end := _date_in(behind)) and end < as_of:
            return name
    return None


def forbids_following(headers: Iterable[tuple[str, str]], directives: Sequence[str]) -> bool:
    """Tell whether an X-Robots-Tag or a robots meta element asks not to follow a page's links."""
    values = [value for name, value in headers if name == "x-robots-tag"]
    return any(
        name in ("nofollow", "none")
        for value in (*values, *directives)
        for name, _ in _directives(value)
    )


def _directives(value: str) -> Iterator[tuple[str, str]]:
    """Yield each directive that concerns us, with the text behind its name.

    A part is a directive, or the name of an agent (`otherbot`, `OpenALIGN/1.0`) and a colon before
    one: what follows then concerns that agent alone. A date has colons and commas of its own, so
    text that is no name belongs to the value before it.
    """
    value = _COMMENT.sub("", value.lower())
    concerns_us = True
    for part in _PART.finditer(value):
        name, colon, rest = part[0].partition(":")
        name = name.strip(" \t\"'")
        behind = value[part.end() - len(rest) : part.end() + _DATE_CHARS]
        if colon and rest.strip() and name not in _WITH_VALUE | WITHHELD:
            agent = _AGENT_NAME.fullmatch(name)
            if agent is not None:
                concerns_us = agent[1] in (AGENT.lower(), "*")
            if agent is not None or not name:
                name, _, rest = rest.partition(":")
                name = name.strip(" \t\"'")
                behind = value[part.end() - len(rest) : part.end() + _DATE_CHARS]
        if not concerns_us:
            continue
        if name in _WITH_VALUE:
            yield name, behind
            for word in rest.split()[1:]:
                if word.endswith(":"):
                    break  # it begins what another agent is told
                yield word.strip("\"'"), ""
            continue
        for word in name.split():
            yield word.strip("\"'"), ""


def _date_in(text: str) -> date | None:
    """Return the date at the start of a text, in a form of ISO 8601 or of HTTP, or None.

    Numbers are read year first, or day first with points: 2026/10/31, 31.10.2026.
    """
    for form in (_YEAR_FIRST, _YEAR_FIRST_SHORT, _WITH_POINTS, _DAY_FIRST, _MONTH_FIRST):
        found = form.search(text[:_DATE_CHARS])
        if found is None:
            continue
        month, year = found["month"], int(found["year"])
        if year < 100:
            year += 1900 if year >= 70 else 2000
        try:
            number = int(month) if month.isdigit() else _MONTHS.index(month) + 1
            return date(year, number, int(found["day"]))
        except ValueError:
            continue
    return None
