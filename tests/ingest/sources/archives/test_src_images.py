"""Images judged together are those judged one by one."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from openalign.ingest.sources.archives.src_images import SrcImages, add_one_by_one, add_together
from openalign.ingest.web.urls import MAX_URL_CHARS
from openalign.ingest.webpage.addresses.address_columns import plain_urls
from openalign.ingest.webpage.addresses.image_address import PLACEHOLDER_WORDS, address_of_src
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


def random_page(rng: random.Random, number: int) -> SrcImages:
    images = rng.randrange(6)
    raws = [
        rng.choice(WHOLE)
        if rng.random() < 0.4
        else "".join(rng.choice(PIECES) for _ in range(rng.randrange(6)))
        for _ in range(images)
    ]
    return SrcImages(
        raws=raws,
        alts=["".join(rng.choices(TEXTS, k=rng.randrange(3))) for _ in raws],
        titles=[rng.choice(TEXTS) if rng.random() < 0.2 else "" for _ in raws],
        base=rng.choice(BASES),
        page_url=rng.choice((PAGE, "http://site.example/a/photo.jpg")),
        language=rng.choice((None, "en", f"l{number}")),
        found=PairsFound(),
    )


def random_pages(seed: int) -> list[SrcImages]:
    rng = random.Random(seed)
    return [random_page(rng, number) for number in range(400)]


def rows_of(pages: Sequence[SrcImages]) -> list[Any]:
    return [
        (number, p.image_url, p.alt_text, p.found_in, p.raw_image_url, p.address_from, p.language)
        for number, page in enumerate(pages)
        for p in page.found.pairs
    ]


@pytest.mark.parametrize("seed", range(8))
def test_together_pages_give_what_they_give_one_by_one(seed: int) -> None:
    expected, pages = random_pages(seed), random_pages(seed)
    for page in expected:
        add_one_by_one(page)

    plain = add_together(pages)

    columns = ("image_url", "alt_text", "found_in", "raw_image_url", "address_from")
    in_columns = plain.select("page", *columns, "page_language").rows()
    assert Counter([*in_columns, *rows_of(pages)]) == Counter(rows_of(expected))
    assert [one.found.dropped for one in pages] == [one.found.dropped for one in expected]
    assert len(in_columns) > 30
    assert len(rows_of(pages)) > 50


def test_pages_without_images_and_no_pages_give_nothing() -> None:
    page = SrcImages(
        raws=[], alts=[], titles=[], base=PAGE, page_url=PAGE, language=None, found=PairsFound()
    )

    assert add_together([]).is_empty()
    assert add_together([page, page]).is_empty()


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


def test_no_pair_is_longer_than_the_bound() -> None:
    """Escapes lengthen an address most: four bytes of a character become twelve."""
    metas = [("og:image:alt", "a" * 100)]
    for raw in (
        "\U0001f34e" * MAX_URL_CHARS,
        "http://" + "\u3300" * 1000,
        "\u3300" * MAX_URL_CHARS,
    ):
        base = "http://site.example/" + "%F0" * 5000 + "/"
        page = SrcImages(
            raws=[raw],
            alts=["a" * 99],
            titles=["b"],
            base=base,
            page_url=PAGE,
            language=None,
            found=PairsFound(),
        )
        add_one_by_one(page)
        num_chars = sum(
            len(pair.alt_text) + len(pair.image_url) + len(pair.raw_image_url)
            for pair in page.found.pairs
        )
        assert len(page.found.pairs) == 2
        assert num_chars <= page.most_chars([])
        assert page.most_chars(metas) - page.most_chars([]) > 100 + len(base)
