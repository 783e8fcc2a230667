"""Images judged together are those judged one by one."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from openalign.files.states import FoundIn
from openalign.ingest.web.urls import MAX_URL_CHARS
from openalign.ingest.webpage.addresses.address_columns import plain_urls
from openalign.ingest.webpage.addresses.image_address import (
    PLACEHOLDER_WORDS,
    ImageAddress,
    Promise,
    address_of_src,
)
from openalign.ingest.webpage.cost import budget
from openalign.ingest.webpage.elements.images_to_judge import (
    ImagesToJudge,
    judge_one_by_one,
    judge_together,
)
from openalign.ingest.webpage.elements.pairs import PairsFound

PAGE = "http://site.example/a/index.html"
BASES = (PAGE, "https://cdn.example:8443/x/y?z", "http://[::1]/", "http://h/")

PIECES = (
    *(
        "http://",
        "https://",
        "HTTP://",
        "//",
        "/",
        "./",
        "../",
        "data:image/png;base64,",
        "mailto:",
    ),
    *(
        "site.example",
        "Site.Example",
        "xn--a",
        "a.xn--b",
        "1.2.3.4",
        "u:p@h",
        "h:80",
        "\u4e2d",
        "-",
    ),
    *("/a/", "/index.html", "a", "photo", "b_c", "%2e", ".", "..", "~", "_", "0x", "640x480", "12"),
    *(".jpg", ".JPG", ".png", ".webp", ".gif", ".jpeg", ".svg", ".heic", ".php", ".jpg.png"),
    *(
        "?w=1",
        "?",
        "#",
        "&",
        "{{ url }}",
        "[[",
        "<%",
        "\0",
        " ",
        "\t",
        "\n",
        "\x1c",
        "\xa0",
        "\u3000",
    ),
    *("\U0001f34e", "e\u0301", "\x7f", "\\", "'", '"', "x" * 505),
    *sorted(PLACEHOLDER_WORDS),
)
TEXTS = (
    "",
    " ",
    "\0",
    "\u2003",
    "a",
    "cat",
    " cat",
    "cat ",
    "a  b",
    "a\tb",
    "a\x1cb",
    "\x85",
    "\u4e2d",
)
LONGEST = "/" + "x" * 506 + ".jpg"
WHOLE = (
    "/a/photo.jpg",
    "/a/photo.jpg\n",
    "http://site.example/a/photo.jpg",
    "http://site.example/a/photo.jpg?w=1&h=2",
    "/a/index.html",
    PAGE,
    "/spacer.gif",
    "/a/my-Spacer_10x10.gif",
    "/a/spacers.gif",
    "/a/..jpg",
    LONGEST,
    "/x" + LONGEST[1:],
    "/" + "x" * MAX_URL_CHARS,
)


def random_address(rng: random.Random) -> str:
    if rng.random() < 0.4:
        return rng.choice(WHOLE)
    return "".join(rng.choice(PIECES) for _ in range(rng.randrange(6)))


def images_to_judge(
    raws: Sequence[str], alts: Sequence[str], *, base: str = PAGE, page_url: str = PAGE
) -> ImagesToJudge:
    """Return images with a `src` alone."""
    images = ImagesToJudge(base=base, page_url=page_url, found=PairsFound())
    for raw, alt in zip(raws, alts, strict=True):
        images.add(raw, "src", None, alt, None)
    return images


def random_page(rng: random.Random, number: int) -> ImagesToJudge:
    page_url = rng.choice((PAGE, "http://site.example/a/photo.jpg"))
    page = images_to_judge([], [], base=rng.choice(BASES), page_url=page_url)
    for _ in range(rng.randrange(6)):
        raw, alt = random_address(rng), "".join(rng.choices(TEXTS, k=rng.randrange(3)))
        language = rng.choice((None, "en", f"l{number}"))
        if raw and rng.random() < 0.4:
            attributes = {"data-src": raw, "src": random_address(rng), "alt": alt}
            page.add(raw, "data-src", attributes, alt, language)
        else:
            page.add(raw, "src", None, alt, language)
    return page


def random_pages(seed: int) -> list[ImagesToJudge]:
    rng = random.Random(seed)
    return [random_page(rng, number) for number in range(400)]


def rows_of(pages: Sequence[ImagesToJudge]) -> list[Any]:
    return [
        (number, p.image_url, p.alt_text, p.found_in, p.raw_image_url, p.address_from, p.language)
        for number, page in enumerate(pages)
        for p in page.found.pairs
    ]


@pytest.mark.parametrize("seed", range(8))
def test_together_pages_give_what_they_give_one_by_one(seed: int) -> None:
    expected, pages = random_pages(seed), random_pages(seed)
    for page in expected:
        judge_one_by_one(page)

    plain = judge_together(pages)

    columns = ("image_url", "alt_text", "found_in", "raw_image_url", "address_from")
    in_columns = plain.select("page", *columns, "page_language").rows()
    assert Counter([*in_columns, *rows_of(pages)]) == Counter(rows_of(expected))
    assert [one.found.dropped for one in pages] == [one.found.dropped for one in expected]
    assert len(in_columns) > 30
    assert len(rows_of(pages)) > 50


def test_pages_without_images_and_no_pages_give_nothing() -> None:
    page = images_to_judge([], [])

    assert judge_together([]).is_empty()
    assert judge_together([page, page]).is_empty()


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        pytest.param("/a/b.jpg", "http://site.example/a/b.jpg", id="behind the host"),
        pytest.param("https://c.example/b.png?w=1", "https://c.example/b.png?w=1", id="absolute"),
        pytest.param(
            "/" + "x" * 506 + ".jpg", "http://site.example/" + "x" * 506 + ".jpg", id="511"
        ),
        pytest.param("/" + "x" * 507 + ".jpg", None, id="512 characters"),
        pytest.param("b.jpg", None, id="relative"),
        pytest.param("/a/b.jpg\n", None, id="a line end"),
        pytest.param("/a/index.png", None, id="the page itself"),
        pytest.param("/a/Blank.gif", None, id="placeholder"),
        pytest.param("/a/my-blank_2x.gif", None, id="placeholder behind a word"),
        pytest.param("/a/blanket.gif", "http://site.example/a/blanket.gif", id="longer word"),
        pytest.param("https://xn--a.example/b.jpg", None, id="encoded host"),
        pytest.param("https://1.2.3.4/b.jpg", None, id="number"),
    ],
)
def test_plain_addresses_are_known_in_columns_and_agree(raw: str, url: str | None) -> None:
    page_url = "http://site.example/a/index.png"
    pages = pl.DataFrame({"base": [page_url], "page_url": [page_url]})

    assert plain_urls(pl.Series([raw]), pl.Series([0]), pages).to_list() == [url]
    if url is not None:
        assert address_of_src(raw, page_url, page_url).url == url


def test_pairs_are_short_if_the_longest_addresses_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escapes lengthen an address most: four bytes of a character become twelve."""
    base = "http://site.example/" + "%F0" * 5000 + "/"
    for raw in ("\U0001f34e" * MAX_URL_CHARS, "\u3300" * MAX_URL_CHARS):
        page = images_to_judge([raw], ["a" * 99], base=base)
        judge_one_by_one(page)
        [pair] = page.found.pairs
        num_chars = 99 + len(pair.image_url) + len(pair.raw_image_url)
        with monkeypatch.context() as patch:
            patch.setattr(budget, "MAX_PAIR_CHARS", num_chars - 1)
            assert not images_to_judge([raw], ["a" * 99], base=base).are_short()


def test_pairs_are_short_beside_those_that_were_found(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = 8 + len(PAGE) + 33 * MAX_URL_CHARS
    page = images_to_judge(["/a.jpg"], ["12345678"])
    monkeypatch.setattr(budget, "MAX_PAIR_CHARS", bound + 11)
    cat = ImageAddress("b.jpg", "c", Promise.GOOD, "src")

    page.found.add(cat, "12345", FoundIn.TITLE, None)
    assert page.are_short()
    page.found.add(cat, "", FoundIn.TITLE, None)
    assert not page.are_short()
