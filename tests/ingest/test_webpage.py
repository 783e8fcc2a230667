import encodings.aliases
import sys
from types import FrameType
from typing import Any

import pytest

from openalign.ingest.webpage import PageContent, decode_html, largest_of_srcset, parse_page

PAGE = "http://site.example/a/index.html"


def parse(html: str) -> PageContent:
    return parse_page(html.encode(), page_url=PAGE, charset="utf-8")


def pairs(html: str) -> list[tuple[str, str, str]]:
    return [
        (p.image_url.removeprefix("http://site.example"), p.alt_text, p.found_in)
        for p in parse(html).pairs
    ]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        pytest.param('<img src="x.png" alt="a cat">', [("/a/x.png", "a cat", "img_alt")], id="img"),
        pytest.param("<IMG SRC=/x.png ALT=cat>", [("/x.png", "cat", "img_alt")], id="capitals"),
        pytest.param(
            "<img src=x.png alt=' a \n\t cat&nbsp; '>",
            [("/a/x.png", "a cat", "img_alt")],
            id="white space",
        ),
        pytest.param(
            "<img src='x.png?a=1&amp;b=2' alt='&quot;cat&quot; &amp; d&ouml;g'>",
            [("/a/x.png?a=1&b=2", '"cat" & dög', "img_alt")],
            id="entities",
        ),
        pytest.param(
            "<img src=x.png alt='a cat' title='Felix'>",
            [("/a/x.png", "a cat", "img_alt"), ("/a/x.png", "Felix", "title")],
            id="alt and title",
        ),
        pytest.param(
            "<img src=x.png title='Felix'>", [("/a/x.png", "Felix", "title")], id="title alone"
        ),
        pytest.param(
            "<figure><img src=x.png alt='a cat'><figcaption>Felix <b>at</b>\nhome</figcaption>"
            "</figure>",
            [("/a/x.png", "a cat", "img_alt"), ("/a/x.png", "Felix at home", "figcaption")],
            id="figure",
        ),
        pytest.param(
            "<figure><img src=o.png><figure><img src=x.png><figcaption>inner</figcaption></figure>"
            "<div><figcaption>outer</figcaption></div></figure>",
            [("/a/o.png", "outer", "figcaption"), ("/a/x.png", "inner", "figcaption")],
            id="figure in a figure",
        ),
        pytest.param(
            "<figure><img src=x.png><figcaption>a<script>var b</script> cat</figcaption></figure>",
            [("/a/x.png", "a cat", "figcaption")],
            id="script in a caption",
        ),
        pytest.param(
            "<img src=blank.gif data-src=x.png alt=cat>",
            [("/a/x.png", "cat", "img_alt")],
            id="lazy: data-src",
        ),
        pytest.param(
            "<img src='data:image/gif;base64,AA' data-original=x.png alt=cat>",
            [("/a/x.png", "cat", "img_alt")],
            id="lazy: data-original",
        ),
        pytest.param(
            "<img src=blank.gif data-srcset='s.png 1x, l.png 2x' alt=cat>",
            [("/a/l.png", "cat", "img_alt")],
            id="lazy: data-srcset",
        ),
        pytest.param(
            "<img src=x.png srcset='l.png 2x' alt=cat>",
            [("/a/x.png", "cat", "img_alt")],
            id="src before srcset",
        ),
        pytest.param(
            "<img srcset='s.png 320w, l.png 640w, m.png 480w' alt=cat>",
            [("/a/l.png", "cat", "img_alt")],
            id="srcset alone",
        ),
        pytest.param(
            "<picture><source srcset=x.webp><img src=x.jpg alt=cat></picture>",
            [("/a/x.jpg", "cat", "picture")],
            id="picture with a fallback",
        ),
        pytest.param(
            "<picture><source><source srcset='s.webp, l.webp 2x'><img alt=cat></picture>",
            [("/a/l.webp", "cat", "picture")],
            id="picture without a fallback",
        ),
        pytest.param(
            "<noscript><img src=x.png alt=cat></noscript>",
            [("/a/x.png", "cat", "img_alt")],
            id="noscript",
        ),
        pytest.param(
            "<base href='/b/'><img src=x.png alt=cat>", [("/b/x.png", "cat", "img_alt")], id="base"
        ),
        pytest.param(
            "<base href='mailto:x'><img src=x.png alt=cat>",
            [("/a/x.png", "cat", "img_alt")],
            id="base that is none",
        ),
        pytest.param(
            "<base target=_top><base href=/b/><base href=/c/><img src=x.png alt=cat>",
            [("/b/x.png", "cat", "img_alt")],
            id="the first base with an address",
        ),
        pytest.param(
            "<meta property=og:image content=x.png><meta property=og:image:alt content='a cat'>",
            [("/a/x.png", "a cat", "og_image")],
            id="og:image",
        ),
        pytest.param(
            "<meta property=og:image content=x.png><meta property=og:image:width content=2>"
            "<meta property=og:image content=y.png><meta property=og:image:alt content=dog>",
            [("/a/y.png", "dog", "og_image")],
            id="og:image:alt belongs to the one before it",
        ),
        pytest.param("<meta property=og:image content=x.png>", [], id="og:image without a text"),
        pytest.param("<template><img src=x.png alt=cat></template>", [], id="template"),
        pytest.param("<!-- <img src=x.png alt=cat> -->", [], id="comment"),
        pytest.param("", [], id="nothing"),
        pytest.param("<img src=x.png alt='a < b'", [], id="a tag that is cut off"),
    ],
)
def test_pairs_of_a_page(html: str, expected: list[tuple[str, str, str]]) -> None:
    assert pairs(html) == expected


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        pytest.param("<img src=x.png>", {"no_alt_text": 1}, id="no alt"),
        pytest.param("<img src=x.png alt=' \n'>", {"no_alt_text": 1}, id="empty alt"),
        pytest.param("<img src='data:image/gif;base64,AA'>", {"no_alt_text": 1}, id="text first"),
        pytest.param("<img src='DATA:image/gif;base64,AA' alt=cat>", {"data_url": 1}, id="data"),
        pytest.param("<img alt=cat>", {"bad_url": 1}, id="no address"),
        pytest.param("<img src='ftp://h/x.png' alt=cat>", {"bad_url": 1}, id="ftp"),
        pytest.param("<img src='http://' alt=cat title=dog>", {"bad_url": 2}, id="two pairs"),
        pytest.param("<img src=x.png alt=cat>", {}, id="a good one"),
    ],
)
def test_what_is_no_candidate_is_counted(html: str, expected: dict[str, int]) -> None:
    assert dict(parse(html).dropped) == expected


def test_the_raw_address_is_kept_as_the_page_spells_it() -> None:
    [pair] = parse("<img src=' ../X%7e.png#top ' alt=cat>").pairs

    assert pair.raw_image_url == "../X%7e.png#top"
    assert pair.image_url == "http://site.example/X%7e.png"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        pytest.param("<html lang=en>", "en", id="plain"),
        pytest.param("<html lang=' EN-us '>", "en", id="region, capitals, spaces"),
        pytest.param("<html lang=pt_BR>", "pt", id="underscore"),
        pytest.param("<html xml:lang=de>", "de", id="xml:lang"),
        pytest.param("<html lang=en xml:lang=de>", "en", id="lang before xml:lang"),
        pytest.param("<html lang=''>", None, id="empty"),
        pytest.param("<html lang=x-default>", None, id="private use"),
        pytest.param("<body lang=fr>", None, id="elsewhere"),
        pytest.param("", None, id="none"),
    ],
)
def test_language_of_a_page(html: str, expected: str | None) -> None:
    assert parse(html).language == expected


def test_links_are_canonical_sorted_and_single() -> None:
    page = parse(
        "<base href=/b/><a href=z.html#top>z</a><a href=z.html>z again</a><area href='/a.html'>"
        "<a>no address</a><a href='mailto:x@y'>mail</a><link href=/style.css>"
        "<a href='http://other.example/'>elsewhere</a>"
    )

    assert page.links == [
        "http://other.example/",
        "http://site.example/a.html",
        "http://site.example/b/z.html",
    ]


def test_robots_meta_elements_are_handed_on() -> None:
    page = parse(
        "<meta name=Robots content='noindex, nofollow'><meta name=openalign content=noai>"
        "<meta name=description content=none>"
    )

    assert page.directives == ["noindex, nofollow", "noai"]


@pytest.mark.parametrize(
    ("body", "charset", "expected"),
    [
        pytest.param("dög".encode(), "utf-8", "dög", id="as the server says"),
        pytest.param("dög".encode("latin-1"), "ISO-8859-1", "dög", id="latin-1"),
        pytest.param(b"\x93dog\x94", "latin1", "\u201cdog\u201d", id="latin-1 as browsers read it"),
        pytest.param("\ufeffdög".encode(), "latin-1", "dög", id="byte order mark wins"),
        pytest.param("\ufeffdög".encode("utf-16"), "utf-8", "dög", id="UTF-16 by its mark"),
        pytest.param(
            "<meta charset=koi8-r>кот".encode("koi8-r"), None, "<meta charset=koi8-r>кот", id="meta"
        ),
        pytest.param(
            '<meta http-equiv=a content="text/html; charset=Shift_JIS">猫'.encode("cp932"),
            None,
            '<meta http-equiv=a content="text/html; charset=Shift_JIS">猫',
            id="meta http-equiv",
        ),
        pytest.param(
            "<meta charset=utf-16>dög".encode(), None, "<meta charset=utf-16>dög", id="meta lies"
        ),
        pytest.param("dög".encode(), "no-such-thing", "dög", id="unknown label"),
        pytest.param("dög".encode(), "base64", "dög", id="no text encoding"),
        pytest.param("dög".encode(), None, "dög", id="guess: UTF-8"),
        pytest.param("dög".encode("cp1252"), None, "dög", id="guess: Windows"),
        pytest.param(b"d\xffg", "utf-8", "d\ufffdg", id="broken bytes"),
    ],
)
def test_text_of_a_page(body: bytes, charset: str | None, expected: str) -> None:
    assert decode_html(body, charset) == expected


@pytest.mark.parametrize(
    ("srcset", "expected"),
    [
        pytest.param("a.png", "a.png", id="one"),
        pytest.param("a.png 1x, b.png 2x", "b.png", id="densities"),
        pytest.param("a.png 1.5x, b.png", "a.png", id="no descriptor is 1x"),
        pytest.param("a.png 2x, b.png 2x", "a.png", id="first of equals"),
        pytest.param("a,b.png 1x , c.png 640w", "c.png", id="comma in an address"),
        pytest.param(" ,, a.png 2x ,", "a.png", id="stray commas"),
        pytest.param("a.png nonsense", "a.png", id="broken descriptor"),
        pytest.param("", "", id="empty"),
        pytest.param(" , ", "", id="nothing but a comma"),
    ],
)
def test_largest_of_srcset(srcset: str, expected: str) -> None:
    assert largest_of_srcset(srcset) == expected


def every_codec() -> list[str]:
    return sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values(), "undefined"})


@pytest.mark.parametrize(
    "label", ["undefined", "idna", "punycode", "utf-7", "unicode_escape", "zlib", "no such", "\0"]
)
def test_a_label_that_is_no_encoding_of_a_page_is_passed_over(label: str) -> None:
    html = f"<meta charset='{label}'><img src=x.png alt='größe \\ud800 +2AA- a\\x41'>".encode()

    for charset in (None, label):
        [pair] = parse_page(html, page_url=PAGE, charset=charset).pairs
        assert pair.alt_text == "größe \\ud800 +2AA- a\\x41"


def test_no_label_breaks_a_page() -> None:
    body = b"<img src=x.png alt='" + bytes(range(256)) * 2 + b"\\ud800+2AA-'>"

    for label in every_codec():
        meta = f"<meta charset={label}>".encode()
        assert parse_page(body, page_url=PAGE, charset=label) is not None
        assert parse_page(meta + body, page_url=PAGE, charset=None) is not None


def steps_of(html: str) -> int:
    """Return how many lines of Python it takes to read a page."""
    num_steps = 0

    def trace(frame: FrameType, event: str, value: object) -> Any:
        nonlocal num_steps
        del frame, value
        num_steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse(html)
    finally:
        sys.settrace(before)
    return num_steps


@pytest.mark.parametrize(
    "element",
    ["<figure><img src=x.png alt=cat>", "<figure><figcaption>cat</figcaption>", "<div><img>"],
    ids=["images", "captions", "images in no figure"],
)
def test_twice_as_deep_a_page_takes_twice_as_many_steps(element: str) -> None:
    end = "<figure><figcaption>inner</figcaption></figure>"

    assert steps_of(element * 400 + end) < 2.5 * steps_of(element * 200 + end)


def test_a_caption_that_holds_another_is_none() -> None:
    depth = 100
    html = "<figure><img src=x.png><figcaption>outer " * depth + "inner"

    assert pairs(html) == [("/a/x.png", "outer inner", "figcaption")]


def test_an_image_of_a_figure_without_a_caption_has_not_that_of_the_figure_around() -> None:
    inner = "<figure><div><img src=x.png alt=cat></div><div><img src=y.png alt=dog></div></figure>"

    assert pairs(f"<figure><figcaption>outer</figcaption>{inner}</figure>") == [
        ("/a/x.png", "cat", "img_alt"),
        ("/a/y.png", "dog", "img_alt"),
    ]


def test_of_two_captions_of_a_figure_the_first_holds() -> None:
    html = "<figure><img src=x.png><figcaption>one</figcaption><figcaption>two</figcaption>"

    assert pairs(html) == [("/a/x.png", "one", "figcaption")]
