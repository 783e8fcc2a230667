"""Pages of data stages in Chromium: axe finds nothing, they fit a phone, and they say no error."""

from pathlib import Path

import fetch_pages
import harvest_pages
import pytest
from browser import seen_by_axe

PAGES = {
    "fetch": fetch_pages.whole(),
    "fetch of nothing": fetch_pages.page_of({}),
    "harvest": harvest_pages.whole(),
    "harvest of nothing": harvest_pages.page_of(),
}


@pytest.mark.slow
@pytest.mark.parametrize("width_px", [1440, 390])
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("html", PAGES.values(), ids=PAGES)
def test_axe_finds_nothing_and_the_page_fits(
    html: str, width_px: int, tmp_path: Path, *, is_dark: bool
) -> None:
    page = tmp_path / "page.html"
    page.write_text(html)

    found = seen_by_axe(page, width_px=width_px, is_dark=is_dark)

    assert found["violations"] == []
    assert "color-contrast" in found["passes"]
    assert found["overflow"] <= 0
    assert found["said"] == []
