"""The script that sorts and filters tables, in Chromium."""

from pathlib import Path
from typing import Any

import pytest
from browser import found_in_chromium
from paper_results import metric, run_of, task

from openalign.evaluate.report import several
from openalign.files.names import REPORT_HTML

RECALL = "retrieval/flickr30k/split/image_to_text/recall_at_1"

TABLE_1 = """\
const table = document.querySelector("#table-1 ~ .wide table");
const names = () => [...table.tBodies[0].rows].filter((row) => !row.hidden)
  .map((row) => row.cells[0].firstChild.textContent);
const button = (column) => table.querySelector(`th[data-column="${column}"] button`);
const sorted = (column) => button(column).parentElement.getAttribute("aria-sort");
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return a report on two runs, one number each."""
    runs = [
        run_of(name, [task("retrieval", "flickr30k")], [metric(RECALL, value, n=1_000)])
        for name, value in (("low", 0.095), ("high", 0.9))
    ]
    several.write(runs, str(tmp_path))
    return tmp_path / REPORT_HTML


def asked(page: Path, script: str) -> Any:
    return found_in_chromium(page, TABLE_1 + script)


def test_a_column_of_numbers_is_sorted_as_numbers_and_empty_cells_stay_last(page: Path) -> None:
    found = asked(
        page,
        "const before = names(); button(2).click(); const down = [names(), sorted(2)];"
        "button(2).click(); return {before, down, up: [names(), sorted(2)]};",
    )

    assert found["before"][:3] == ["low", "high", "ImageBERT"]
    names, direction = found["down"]
    assert direction == "descending"
    assert names[:2] == ["ALIGN (L2 + Large)", "high"]  # 95.3, 90.0
    assert names[-2:] == ["low", "Oscar"]  # 9.5, none
    names, direction = found["up"]
    assert direction == "ascending"
    assert names[:2] == ["low", "COYO-ALIGN (B3 + Mini)"]  # 9.5, 42.8
    assert names[-1] == "Oscar"


def test_a_column_of_words_is_sorted_as_words_and_one_column_at_a_time(page: Path) -> None:
    found = asked(
        page,
        "button(2).click(); button(0).click();"
        "return [names(), sorted(0), sorted(2), button(0).tagName, button(0).type];",
    )

    names, direction, of_numbers, *tag = found
    assert names == sorted(names, key=str.lower)
    assert (direction, of_numbers) == ("ascending", None)
    assert tag == ["BUTTON", "button"]


def test_a_filter_shows_rows_with_some_words_and_says_how_many(page: Path) -> None:
    found = asked(
        page,
        """
const bar = table.closest(".wide").previousElementSibling;
const input = bar.querySelector("input");
const type = (words) => { input.value = words; input.dispatchEvent(new Event("input")); };
type("VILLA"); const one = [names(), bar.querySelector("output").textContent];
type("");
return {one, all: names().length, label: input.labels.length};
""",
    )

    assert found == {"one": [["VILLA"], "1 of 15 rows"], "all": 15, "label": 1}


def test_a_link_to_a_row_shows_it_though_a_filter_hides_it(page: Path) -> None:
    found = asked(
        page,
        """
const row = document.querySelector("#from-2-1");
row.hidden = true;
document.querySelector("a[href='#from-2-1']").click();
return [row.hidden, row.cells[1].textContent];
""",
    )

    assert found == [False, "high"]
