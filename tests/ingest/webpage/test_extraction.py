"""What a page's HTML gives: a table of small pages, each with its (address, text, place)."""

import pytest
from webpages import pairs, parse

from openalign.ingest.webpage.addresses.image_address import LAZY_ADDRESSES, LAZY_SRCSETS

BASIC = [
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
]


def img(attributes: str, address: str, *, id: str) -> object:  # noqa: A002
    """Return the case of an image with the alt-text `cat`, and the address that it should have."""
    html = f"<img {attributes} alt=cat>"
    return pytest.param(html, [(address, "cat", "img_alt")], id=id)


def picture(sources: str, attributes: str, address: str, *, id: str) -> object:  # noqa: A002
    """Return the case of an image in a picture element."""
    html = f"<picture>{sources}<img {attributes} alt=cat></picture>"
    return pytest.param(html, [(address, "cat", "picture")], id=id)


SRCSETS = [
    img("src=x.png srcset='l.png 640w, s.png 320w'", "/a/l.png", id="widths beat src"),
    img("src=x.png srcset='l.png 2x'", "/a/l.png", id="twice the density beats src"),
    img("src=x.png srcset='s.png .5x'", "/a/x.png", id="src beats half the density"),
    img("src=x.png srcset='y.png 1x'", "/a/x.png", id="src beats the same density"),
    img("src=x.png srcset=y.png", "/a/x.png", id="src beats no density"),
    img("srcset='y.png, z.png .5x'", "/a/y.png", id="no src"),
    img("src=x.png srcset='y.png 1.5x, z.png 1.25x'", "/a/y.png", id="fractions"),
    img("src=x.png srcset='y.png 1e1x'", "/a/y.png", id="an exponent"),
    img("src=x.png srcset='{{ url }} 640w'", "/a/x.png", id="a template in a set"),
    img("src=x.png srcset='data:image/gif;base64,AA 9w, l.png 3w'", "/a/l.png", id="data in a set"),
    img("src=x.png srcset='l.svg 640w, m.png 320w'", "/a/m.png", id="a drawing in a set"),
    img("src=x.png srcset='l.png 640w' sizes=100vw", "/a/l.png", id="sizes say nothing of it"),
    img("src=x.png srcset=',,,,'", "/a/x.png", id="nothing but commas"),
    img("src=x.png srcset=' \n'", "/a/x.png", id="a blank set"),
    img("src=x.png srcset='http:// 9w'", "/a/x.png", id="a broken address in a set"),
    img("srcset='/i/a,b,w_9/x.png 9w'", "/i/a,b,w_9/x.png", id="commas in an address"),
]

PLACEHOLDERS = [
    img(f"src=x.png data-src='{nothing}'", "/a/x.png", id=f"data-src: {nothing}")
    for nothing in (
        "data:image/gif;base64,AA",
        "#",
        "#top",
        "javascript:void(0)",
        "about:blank",
        "blob:http://site.example/1",
        "//:0",
        "http://:0",
        "{{ url }}",
        "${image.src}",
        "&lt;%= url %&gt;",
        "{% url %}",
        "/i/[[id]].png",
        "%7B%7Burl%7D%7D",
        "[object Object]",
        "{&quot;s&quot;:&quot;y.png&quot;}",
        "true",
        "1",
        " ",
        "?",
        ".",
        "index.html",
        "ftp://h/y.png",
        "mailto:a@b",
        "chrome-extension://x/y.png",
        "blank.gif",
        "/i/transparent-1x1.png",
        "/i/lazy_placeholder.svg",
        "y.svg",
    )
] + [
    img("src=blank.gif srcset='x.png 2x'", "/a/x.png", id="blank.gif and a set"),
    img("src=/i/loading.gif data-src=/i/x.png", "/i/x.png", id="loading.gif"),
    img("src=blank.gif", "/a/blank.gif", id="a placeholder alone stays"),
    img("src=spacer-300x200.png data-src=true", "/a/spacer-300x200.png", id="before a word"),
    img("src=unblank.gif srcset='x.png .5x'", "/a/unblank.gif", id="a longer word is none"),
    img("src=x.png data-src=y.png", "/a/y.png", id="a script's address first"),
    img("data-src=photo", "/a/photo", id="a word, where there is nothing else"),
    img("src=x.svg", "/a/x.svg", id="a drawing alone stays"),
    img("src=x.svg srcset='y.svg .5x'", "/a/x.svg", id="the first of two drawings"),
    img("src=1x1.gif srcset='x.png .5x'", "/a/x.png", id="1x1.gif"),
    img("src=x.svg?v=1 data-src=y.jxl srcset='z.png 2x'", "/a/z.png", id="what is decoded"),
]

LAZY = (
    [img(f"src=blank.gif {name}=/i/x.png", "/i/x.png", id=name) for name in LAZY_ADDRESSES]
    + [
        img(f"src=blank.gif {name}='/i/s.png 320w, /i/l.png 640w'", "/i/l.png", id=name)
        for name in LAZY_SRCSETS
    ]
    + [
        img(
            "src=b.gif data-src=x.png data-srcset='l.png 9w'", "/a/l.png", id="lazy widths beat src"
        ),
        img(
            "src=b.gif data-src=x.png data-srcset='s.png .5x'", "/a/x.png", id="lazy half a density"
        ),
        img(
            "srcset='b.gif 9w' data-src=x.png", "/a/x.png", id="lazy src beats a set that is there"
        ),
    ]
)

PICTURES = [
    picture("<source srcset=x.webp type=image/webp>", "src=blank.gif", "/a/x.webp", id="blank.gif"),
    picture("<source srcset=x.webp>", "src=data:image/gif;base64,AA", "/a/x.webp", id="data"),
    picture("<source srcset=x.webp>", "src=x.jpg", "/a/x.jpg", id="the image of its own"),
    picture(
        "<source srcset=x.jxl type=image/jxl><source srcset=x.avif type=image/avif>",
        "",
        "/a/x.avif",
        id="the first type that is decoded",
    ),
    picture(
        "<source srcset=x type='image/svg+xml'><source srcset=y type='IMAGE/PNG; q=1'>",
        "",
        "/a/y",
        id="a type with capitals and more",
    ),
    picture("<source srcset=x.jxl>", "src=x.svg", "/a/x.svg", id="the first of two undecoded"),
    picture("<source srcset=x.heic type=image/png>", "", "/a/x.heic", id="a type before a name"),
    picture(
        "<source media='(min-width: 9px)' srcset='s.png 1w, l.png 2w'><source srcset=y.png>",
        "",
        "/a/l.png",
        id="the first source, its largest",
    ),
    picture(
        "<source data-srcset='l.png 2x' srcset=blank.gif>",
        "src=blank.gif",
        "/a/l.png",
        id="a lazy source",
    ),
    picture("<source data-src=x.png>", "src=blank.gif", "/a/x.png", id="a lazy address of one"),
    picture("<source src=x.png>", "src=#", "/a/x.png", id="src of a source"),
    picture("<source srcset='#'>", "src=blank.gif", "/a/blank.gif", id="a source without any"),
]

NO_SCRIPT = [
    pytest.param(
        "<img src=blank.gif alt=cat> <noscript><img src=x.png alt=cat></noscript>",
        [("/a/x.png", "cat", "img_alt")] * 2,
        id="the image behind",
    ),
    pytest.param(
        "<img class=lazy alt=cat><noscript><img src=x.png></noscript>",
        [("/a/x.png", "cat", "img_alt")],
        id="the text of one, the address of the other",
    ),
    pytest.param(
        "<img src=y.png alt=cat><noscript><img src=x.png alt=dog></noscript>",
        [("/a/y.png", "cat", "img_alt"), ("/a/x.png", "dog", "img_alt")],
        id="two images",
    ),
    pytest.param(
        "<img src=blank.gif alt=cat><p><noscript><img src=x.png alt=dog></noscript>",
        [("/a/blank.gif", "cat", "img_alt"), ("/a/x.png", "dog", "img_alt")],
        id="one elsewhere",
    ),
    pytest.param(
        "<picture><img src=blank.gif alt=cat></picture><noscript><img src=x.png></noscript>",
        [("/a/x.png", "cat", "picture")],
        id="behind a picture element",
    ),
    pytest.param(
        "<head><noscript><img src=x.png alt=cat></noscript><base href=/b/></head>",
        [("/b/x.png", "cat", "img_alt")],
        id="in the head",
    ),
]


def caption(html: str, text: str, *, id: str) -> object:  # noqa: A002
    """Return the case of a figure with a caption."""
    page = f"<figure><img src=x.png><figcaption>{html}</figcaption></figure>"
    return pytest.param(page, [("/a/x.png", text, "figcaption")], id=id)


CAPTIONS = [
    caption("An old harbour<br>at first light", "An old harbour at first light", id="br"),
    caption("a<br/>cat", "a cat", id="br with a slash"),
    caption("<p>a cat</p><p>at home</p>", "a cat at home", id="paragraphs"),
    caption("<div>a cat</div>at home", "a cat at home", id="text behind a block"),
    caption("a cat<div>at home</div>", "a cat at home", id="text before a block"),
    caption("<ul><li>a<li>cat</ul>", "a cat", id="items"),
    caption("<table><tr><td>a<td>cat<tr><td>at home</table>", "a cat at home", id="cells"),
    caption("<h3>Felix</h3><span>a cat</span>", "Felix a cat", id="a heading"),
    caption("a<hr>cat", "a cat", id="a rule"),
    caption("a <b>c</b>at<i>s</i>", "a cats", id="inline elements part nothing"),
    caption("a c&shy;at &amp; d&ouml;g", "a c\u00adat & d\u00f6g", id="entities"),
    caption("a<!-- black --> cat", "a cat", id="a comment"),
    caption("a<style>b{}</style> cat<template>dog</template>", "a cat", id="no text"),
]

BASES = [
    pytest.param(
        "<img src=//h.example/x.png alt=cat>",
        [("http://h.example/x.png", "cat", "img_alt")],
        id="no scheme",
    ),
    img("src=' x.png\n'", "/a/x.png", id="white space around"),
    img("src='x\n.png'", "/a/x.png", id="a line end inside"),
    img("src='\\\\h.example\\x.png'", "http://h.example/x.png", id="backslashes"),
    img("src=HTTP://SITE.example:80/x.png", "/x.png", id="host and port"),
    img("src='a b.png'", "/a/a%20b.png", id="a space"),
    img("src='\u00fc.png'", "/a/%C3%BC.png", id="a letter beyond ASCII"),
    img("src=x.png#top", "/a/x.png", id="a fragment"),
    img("src=../../x.png", "/x.png", id="above the root"),
    pytest.param("<image src=x.png alt=cat>", [("/a/x.png", "cat", "img_alt")], id="image is img"),
    pytest.param("<svg><image href=x.png /></svg>", [], id="an image in a drawing"),
    pytest.param("<img alt=cat src=x.png alt=dog>", [("/a/x.png", "cat", "img_alt")], id="twice"),
    pytest.param("<textarea><img src=x.png alt=cat></textarea>", [], id="a textarea"),
    pytest.param(
        "<select><button><selectedcontent></selectedcontent></button>"
        "<option selected><img src=x.png alt=cat></option></select>",
        [("/a/x.png", "cat", "img_alt")],
        id="an option that a browser shows twice",
    ),
    pytest.param("<title><img src=x.png alt=cat></title>", [], id="the title"),
    pytest.param(
        "<select><option><img src=x alt=cat></select>", [("/a/x", "cat", "img_alt")], id="an option"
    ),
    pytest.param("<script>'<img src=x.png alt=cat>'</script>", [], id="a script"),
]


@pytest.mark.parametrize(
    ("html", "expected"),
    [*BASIC, *SRCSETS, *PLACEHOLDERS, *LAZY, *PICTURES, *NO_SCRIPT, *CAPTIONS, *BASES],
)
def test_pairs_of_a_page(html: str, expected: list[tuple[str, str, str]]) -> None:
    assert pairs(html) == expected


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        pytest.param("src=#top", "bad_url", id="a place on the page"),
        pytest.param("src=''", "bad_url", id="empty"),
        pytest.param("src=?", "bad_url", id="the page itself"),
        pytest.param("src=index.html", "bad_url", id="the page by name"),
        pytest.param("src=javascript:void(0)", "bad_url", id="a script"),
        pytest.param("src=about:blank", "bad_url", id="about:blank"),
        pytest.param("src=//:0", "bad_url", id="no host"),
        pytest.param("src='{{ url }}'", "bad_url", id="a template"),
        pytest.param("src=http://me:secret@h.example/x.png", "bad_url", id="a password"),
        pytest.param("src=data:image/gif;base64,AA", "data_url", id="data"),
        pytest.param("src=data:image/gif;base64,AA data-src=#", "data_url", id="data first"),
        pytest.param(f"src={'x' * 5000}", "bad_url", id="too long"),
    ],
)
def test_what_is_no_address_of_an_image(attributes: str, state: str) -> None:
    page = parse(f"<img {attributes} alt=cat>")

    assert (page.pairs, dict(page.dropped)) == ([], {state: 1})


def test_twenty_lazy_attributes_and_more_are_known() -> None:
    assert len({*LAZY_ADDRESSES, *LAZY_SRCSETS}) == len(LAZY_ADDRESSES) + len(LAZY_SRCSETS) >= 20
