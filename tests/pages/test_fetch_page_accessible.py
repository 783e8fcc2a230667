"""The page of a fetch in Chromium: axe finds nothing, it fits a phone, and it says no error."""

from pathlib import Path

import pytest
from browser import seen_by_axe
from fetch_pages import page_of, whole


@pytest.mark.slow
@pytest.mark.parametrize("width_px", [1440, 390])
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("html", [whole(), page_of({})], ids=["whole", "of nothing"])
def test_axe_finds_nothing_and_the_page_fits(
    html: str, width_px: int, tmp_path: Path, *, is_dark: bool
) -> None:
    page = tmp_path / "fetch.html"
    page.write_text(html)

    found = seen_by_axe(page, width_px=width_px, is_dark=is_dark)

    assert found["violations"] == []
    assert "color-contrast" in found["passes"]
    assert found["overflow"] <= 0
    assert found["said"] == []
