"""The report on a phone, in Chromium: a first screen, and sections that fold."""

from pathlib import Path
from typing import Any

import pytest
from browser import found_in_chromium
from given import report_on
from squares import config_of, run_stage

from openalign.files.names import REPORT_HTML

pytestmark = pytest.mark.slow

PHONE_PX = 390
SHOWN = """
const parts = [...document.querySelectorAll("main > section")];
const headings = () => parts.filter((part) => part.querySelector("h2").offsetHeight > 0).length;
"""


@pytest.fixture(scope="module")
def page(
    shared_benchmark: Path, model_folder: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("phone")
    config = config_of(shared_benchmark)
    run_stage(shared_benchmark, config, model=model_folder, output=folder / "evaluate")
    report_on(folder)
    return folder / "report" / REPORT_HTML


def asked(page: Path, script: str, *, width_px: int = PHONE_PX) -> Any:
    return found_in_chromium(page, SHOWN + script, width_px=width_px)


def test_sections_fold_below_a_first_screen_that_is_open(page: Path) -> None:
    found = asked(
        page,
        """
        const shown = (words) => document.querySelector(words).offsetHeight > 0;
        return [document.documentElement.scrollHeight,
                document.querySelectorAll("details.part[open]").length,
                headings() === parts.length,
                shown(".numbers"), shown(".map"), shown("header .query")];
        """,
    )

    assert found[0] < 10_000
    assert found[1:] == [0, True, True, True, True]


def test_a_link_opens_what_it_leads_to(page: Path) -> None:
    found = asked(
        page,
        """
        const opened = () => [...document.querySelectorAll("details.part[open]")]
            .map((part) => part.parentElement.id);
        document.querySelector("nav a[href='#images']").click();
        const first = opened();
        const row = document.querySelector("#others a[href^='#']");
        row.click();
        return [first, opened(), document.querySelector(row.hash).offsetHeight > 0];
        """,
    )

    assert found == [["images"], ["images", "origins"], True]


def test_a_malformed_link_leads_nowhere_and_breaks_nothing(page: Path) -> None:
    said = asked(
        page,
        """
        const said = [];
        addEventListener("error", (event) => said.push(event.message));
        const changed = new Promise((resolve) => addEventListener("hashchange", resolve));
        location.hash = "#100%";
        await changed;
        return said;
        """,
    )

    assert said == []


def test_on_a_wide_screen_nothing_folds(page: Path) -> None:
    folded = asked(page, "return document.querySelectorAll('details.part').length;", width_px=1200)

    assert folded == 0


def test_what_scrolls_is_reached_by_keys_and_has_a_name(page: Path) -> None:
    found = asked(
        page,
        """
        for (const each of document.querySelectorAll("details")) each.open = true;
        return [...document.querySelectorAll("*")].filter((each) => {
          const scrolls = ["auto", "scroll"].includes(getComputedStyle(each).overflowX);
          return scrolls && each.scrollWidth > each.clientWidth;
        }).map((each) => [each.tabIndex, each.tagName === "PRE" || Boolean(each.ariaLabel)]);
        """,
    )

    assert found
    assert all(each == [0, True] for each in found)


@pytest.mark.parametrize("width_px", [PHONE_PX, 800, 1200])
def test_no_word_of_a_caption_is_cut(page: Path, width_px: int) -> None:
    cut = asked(
        page,
        """
        const found = [];
        for (const caption of document.querySelectorAll(".tiles .words")) {
          caption.textContent = "man in wheelchair shrugging";
          for (const word of caption.textContent.matchAll(/\\S+/g)) {
            const range = document.createRange();
            range.setStart(caption.firstChild, word.index);
            range.setEnd(caption.firstChild, word.index + word[0].length);
            if (range.getClientRects().length > 1) found.push(word[0]);
          }
        }
        return [document.querySelectorAll(".tiles .words").length > 0, found];
        """,
        width_px=width_px,
    )

    assert cut == [True, []]
