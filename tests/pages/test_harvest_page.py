"""The page of a harvest: what it says, and that it loads and runs nothing."""

import re

import pytest
from harvest_pages import page_of, whole
from pages_seen import Seen, rows_of

from openalign.files.facts import HarvestFacts
from openalign.files.states import HarvestState, PageState, RecordFault
from openalign.pages.harvest_page import MEANINGS, render


def test_pairs_and_pages_are_shown_by_state_with_their_shares() -> None:
    page = whole()

    assert [row[:3] for row in rows_of(page, "pairs")] == [
        ["kept written", "3", "37.5"],
        ["duplicate the same image and text was found before", "1", "12.5"],
        ["no alt text the image has no text", "4", "50.0"],
    ]
    assert [row[:3] for row in rows_of(page, "pages")] == [
        ["http error the host answered with an error", "6", "75.0"],
        ["parsed read", "2", "25.0"],
    ]
    assert [row[:3] for row in rows_of(page, "places")] == [
        ["img alt", "2", "66.7"],
        ["og image", "1", "33.3"],
    ]


def test_languages_hosts_and_sources_say_how_many_there_are_beside_those_named() -> None:
    page = whole()

    assert [row[:2] for row in rows_of(page, "languages")] == [["not named", "2"], ["en", "1"]]
    assert [row[:2] for row in rows_of(page, "hosts")] == [["a.example", "3"]]
    [[_, *numbers]] = rows_of(page, "sources")
    assert numbers == ["8", "1,234,567", "4"]
    words = " ".join(Seen(page).words)
    assert "The first 1 of 21 files or sites." in words
    assert "All 2 values." in words
    assert "All 1" not in words  # of the damaged file, which is seen to be one
    assert "The first 1 of 40 hosts." in words


@pytest.mark.parametrize(
    ("pages", "label"),
    [
        pytest.param({"parsed": 1}, "pages", id="an archive"),
        pytest.param({"parsed": 1, "sitemap": 1}, "pages and sitemaps", id="a site"),
    ],
)
def test_sitemaps_are_named_where_some_were_read(pages: dict[str, int], label: str) -> None:
    page = page_of(pages=pages)

    assert f'<span class="name">{label}</span>' in page


def test_what_pages_say_is_text() -> None:
    seen = Seen(whole())

    assert not {"script", "img", "iframe", "link", "object"} & {tag for tag, _ in seen.tags}
    assert not [name for _, of in seen.tags for name in of if name.startswith("on")]
    links = [of["href"] or "" for tag, of in seen.tags if tag == "a"]
    assert links
    assert all(link.startswith("#") for link in links)
    assert " ".join(seen.words).count("<script>alert(1)</script>") == 7
    assert "http" not in re.sub(r"<body>.*", "", whole(), flags=re.DOTALL)


def test_every_link_leads_to_a_section_and_every_table_has_headings() -> None:
    seen = Seen(whole())

    ids = [of["id"] for _, of in seen.tags if "id" in of]
    assert len(ids) == len(set(ids))
    assert {of["href"] for tag, of in seen.tags if tag == "a"} == {f"#{name}" for name in ids}
    assert all(of.get("scope") for tag, of in seen.tags if tag == "th")
    tags = [tag for tag, _ in seen.tags]
    assert tags.count("caption") == tags.count("table") == 9


def test_a_harvest_without_pages_and_rows_has_a_page() -> None:
    page = render(
        HarvestFacts(),
        states=dict.fromkeys(HarvestState, 0),
        num_found=0,
        damaged_files=[],
        settings={"source": {"kind": "table"}},
    )

    assert 'id="pages"' not in page
    assert 'id="sources"' not in page
    assert 'id="damaged"' not in page
    assert 'id="records"' not in page
    assert 'id="text-languages"' not in page
    assert rows_of(page, "pairs") == []


@pytest.mark.parametrize("state", [*HarvestState, *PageState, *RecordFault])
def test_every_state_is_explained(state: str) -> None:
    assert MEANINGS[state]
