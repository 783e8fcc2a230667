"""The page of a fetch: what it says, and that it loads and runs nothing."""

import base64
import re

import pytest
from fetch_pages import THUMBNAIL, page_of, whole
from pages_seen import EVIL, Seen, rows_of

from openalign.files.states import FetchState
from openalign.pages.fetch_page import MEANINGS, STEPS


def test_what_is_left_goes_down_step_by_step() -> None:
    assert [row[:3] for row in rows_of(whole(), "funnel")] == [
        ["named by candidates", "10", "100.0"],
        ["allowed to be asked for", "9", "90.0"],
        ["answered", "6", "60.0"],
        ["given", "5", "50.0"],
        ["whole images", "5", "50.0"],
        ["of a size to train on", "4", "40.0"],
        ["fetched", "4", "40.0"],
    ]


def test_reasons_say_what_they_mean_whether_they_can_heal_and_give_examples() -> None:
    rows = rows_of(whole(), "reasons")

    assert rows == [
        ["timeout the host did not answer in time, or too slowly", "3", "30.0", "6", "yes"],
        ["http gone the host says that it is not there, or not any more", "1", "10.0", "1", "no"],
        ["robots denied robots.txt withholds it", "1", "10.0", "2", "no"],
        ["short side too small to train on, as its header says", "1", "10.0", "1", "no"],
    ]
    words = " ".join(Seen(whole()).words)
    assert "3 can heal" in words
    assert f"timeout {EVIL} {EVIL} What hosts answered" in words


def test_hosts_statuses_sizes_and_rounds_have_their_numbers() -> None:
    page = whole()

    [first, _, heading, lost] = rows_of(page, "hosts")
    assert first[:6] == ["a.example", "6", "3", "3", "11 MB", "50.0"]
    assert lost[:4] == ["a.example", "6", "3", "3"]
    assert heading[0] == "Host"
    assert [row[:3] for row in rows_of(page, "statuses")] == [
        ["200 OK", "6", "75.0"],
        ["404 Not Found", "1", "12.5"],
        ["799", "1", "12.5"],
    ]
    assert [row[:2] for row in rows_of(page, "sizes")] == [
        ["from 256 px", "3"],
        ["from 1,024 px", "1"],
        ["Range", "Images"],
        ["from 50 kB", "4"],
    ]
    assert rows_of(page, "rounds") == [["1", "9", "6 timeout, 3 fetched"]]
    words = " ".join(Seen(page).words)
    assert "18 candidates name 10 images. 4 of the images are here." in words
    assert "12 MB" in words
    assert "25.0 % of the originals" in words
    assert "The first 2 of 40 hosts." in words


def test_images_are_within_the_page_with_their_words_beside_them() -> None:
    images = [of for tag, of in Seen(whole()).tags if tag == "img"]

    # The second sample is shown by its words alone.
    src = f"data:image/webp;base64,{base64.b64encode(THUMBNAIL).decode()}"
    assert images == [{"src": src, "alt": EVIL, "loading": "lazy"}]
    assert Seen(whole()).words.count("gone since") == 1


def test_what_others_wrote_is_text() -> None:
    seen = Seen(whole())

    assert not {"script", "iframe", "link", "object"} & {tag for tag, _ in seen.tags}
    assert not [name for _, of in seen.tags for name in of if name.startswith("on")]
    links = [of["href"] or "" for tag, of in seen.tags if tag == "a"]
    assert links
    assert all(link.startswith("#") for link in links)
    # A host, an alt-text, two addresses of images, an example's address and detail, a setting.
    assert " ".join(seen.words).count("<script>alert(1)</script>") == 7
    assert "http" not in re.sub(r"<body>.*", "", whole(), flags=re.DOTALL)


def test_every_link_leads_to_a_section_and_every_table_has_headings() -> None:
    seen = Seen(whole())

    ids = [of["id"] for _, of in seen.tags if "id" in of]
    assert len(ids) == len(set(ids))
    assert {of["href"] for tag, of in seen.tags if tag == "a"} == {f"#{name}" for name in ids}
    assert all(of.get("scope") for tag, of in seen.tags if tag == "th")
    tags = [tag for tag, _ in seen.tags]
    assert tags.count("caption") == tags.count("table") == 8


def test_a_fetch_of_nothing_has_a_page() -> None:
    page = page_of({})

    for section in ("reasons", "statuses", "hosts", "sizes", "rounds", "samples"):
        assert f'id="{section}"' not in page
    assert rows_of(page, "funnel") == []


@pytest.mark.parametrize("state", FetchState)
def test_every_state_is_explained_and_belongs_to_one_step(state: FetchState) -> None:
    assert MEANINGS[state]
    steps = [step for step, lost in STEPS.items() if state in lost]
    assert len(steps) == (state is not FetchState.FETCHED)
