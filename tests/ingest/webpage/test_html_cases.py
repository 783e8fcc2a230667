"""A table of small pages: `html_cases.txt` says what each gives, and how it is written."""

from pathlib import Path

import pytest
from webpages import parse

TABLE = Path(__file__).with_name("html_cases.txt")
HOST = "http://site.example"


def cases() -> list[object]:
    """Return each case of the table as a parameter: HTML, lines of pairs, states."""
    parameters: list[object] = []
    for case in TABLE.read_text(encoding="utf-8").split("\n# ")[1:]:
        name, *lines = case.rstrip("\n").split("\n")
        html = [line for line in lines if not line.startswith(("-> ", "!= "))]
        pairs = [line[3:] for line in lines if line.startswith("-> ")]
        states = [line[3:] for line in lines if line.startswith("!= ")]
        parameters.append(pytest.param("\n".join(html).rstrip(), pairs, states, id=name))
    return parameters


def test_the_table_has_a_hundred_pages_and_more() -> None:
    assert len(cases()) > 100


@pytest.mark.parametrize(("html", "expected", "states"), cases())
def test_what_a_page_gives(html: str, expected: list[str], states: list[str]) -> None:
    page = parse(html)

    found = [
        f"{p.image_url.removeprefix(HOST)} | {p.alt_text} | {p.found_in} | {p.address_from}"
        for p in page.pairs
    ]
    assert found == expected
    assert sorted(page.dropped.elements()) == sorted(states)
