"""The pages of WAT files, as rows."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import pytest
from archives_made import PAGE, answer, broken, gz, page, record, wat
from webpages import judged

from openalign.files.states import RecordFault
from openalign.ingest.sources.archives import warc_reading
from openalign.ingest.sources.archives.archive_reading import ArchivedPage
from openalign.ingest.sources.archives.wat_reading import read_pages
from openalign.ingest.web.config import WebConfig
from openalign.ingest.webpage.cost import budget
from openalign.ingest.webpage.cost.budget import MAX_ELEMENTS

CAT = {"path": "IMG@/src", "url": "../cat.png", "alt": "a  cat"}
TEXTS = ("alt", "title", "og_image", "twitter_image")


def pages(content: bytes, **changes: Any) -> list[ArchivedPage | RecordFault]:
    settings: dict[str, Any] = {"texts": ("alt",), "web": WebConfig()}
    found = list(read_pages(BytesIO(content), "x.wat", **(settings | changes)))
    for one in found:
        if isinstance(one, ArchivedPage) and one.content is not None:
            judged(one.content)
    return found


def only(content: bytes, **changes: Any) -> ArchivedPage:
    [found] = pages(content, **changes)
    assert isinstance(found, ArchivedPage)
    return found


def pairs(found: ArchivedPage) -> list[tuple[str, str, str]]:
    assert found.content is not None
    return [
        (pair.image_url.removeprefix("http://site.example"), pair.alt_text, pair.found_in)
        for pair in found.content.pairs
    ]


def test_a_page_has_its_pairs_and_its_place_in_the_warc() -> None:
    found = only(gz(wat([CAT], container={"Filename": "x.warc.gz", "Offset": "77"})))

    assert (found.url, found.final_url, found.http_status) == (PAGE, PAGE, 200)
    assert (found.state, found.archive, found.offset) == ("parsed", "x.warc.gz", 77)
    assert found.content is not None
    [pair] = found.content.pairs
    assert (pair.image_url, pair.alt_text) == ("http://site.example/cat.png", "a cat")
    assert (pair.raw_image_url, pair.address_from) == ("../cat.png", "src")


@pytest.mark.parametrize("number", ["\xb2", "9" * 5000, "-1", "\uff12\uff10\uff10", "1e3", "200 "])
def test_what_is_no_number_counts_as_not_said(number: str) -> None:
    found = only(wat([CAT], status=number, container={"Filename": "x.warc.gz", "Offset": number}))

    assert (found.state, found.http_status, found.offset) == ("http_error", None, 0)


def test_without_a_container_the_place_is_that_in_the_wat() -> None:
    first, second = wat([CAT], container={}), wat([CAT], container={})
    found = pages(gz(first, second))

    assert [(one.archive, one.offset) for one in found if isinstance(one, ArchivedPage)] == [
        ("x.wat", 0),
        ("x.wat", len(gz(first))),
    ]


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        pytest.param(CAT, ("/cat.png", "a cat", "img_alt"), id="alt"),
        pytest.param({**CAT, "alt": " "}, "no_alt_text", id="blank"),
        pytest.param({"path": "IMG@/src", "url": "a.png"}, "no_alt_text", id="no alt"),
        pytest.param({**CAT, "url": "data:image/png;base64,AA"}, "data_url", id="data"),
        pytest.param({**CAT, "url": "http://a:b@c.example/"}, "bad_url", id="password"),
        pytest.param({**CAT, "url": "#top"}, "bad_url", id="the page itself"),
        pytest.param({"path": "IMG@/src", "alt": "cat"}, "bad_url", id="no address"),
        pytest.param({**CAT, "path": "A@/href"}, None, id="a link"),
        pytest.param({**CAT, "path": "IMG@/longdesc"}, None, id="another attribute"),
        pytest.param({**CAT, "title": "my cat"}, ("/cat.png", "a cat", "img_alt"), id="title"),
    ],
)
def test_a_link_that_is_an_image_is_a_pair_or_is_counted(
    link: Mapping[str, str], expected: Any
) -> None:
    found = only(wat([link]))

    assert found.content is not None
    is_counted = isinstance(expected, str)
    assert pairs(found) == ([expected] if expected and not is_counted else [])
    assert found.content.dropped == ({expected: 1} if is_counted else {})


def test_texts_are_those_that_count() -> None:
    metas = [
        {"property": "og:image", "content": "/o.png"},
        {"property": "og:image:alt", "content": "an o"},
        {"name": "twitter:image", "content": "/t.png"},
        {"name": "twitter:image:alt", "content": "a t"},
    ]
    content = wat([{**CAT, "title": "my cat"}], metas=metas)

    assert pairs(only(content)) == [("/cat.png", "a cat", "img_alt")]
    assert pairs(only(content, texts=TEXTS)) == [
        ("/cat.png", "a cat", "img_alt"),
        ("/cat.png", "my cat", "title"),
        ("/o.png", "an o", "og_image"),
        ("/t.png", "a t", "twitter_image"),
    ]


def test_the_base_of_a_page_counts() -> None:
    assert pairs(only(wat([CAT], base="/x/y/"))) == [("/x/cat.png", "a cat", "img_alt")]


@pytest.mark.parametrize(
    ("metas", "headers", "language"),
    [
        pytest.param([{"name": "HTML@/lang", "content": "en-GB"}], {}, "en", id="html element"),
        pytest.param([{"name": "HTML@/xml:lang", "content": "deu"}], {}, "de", id="XML"),
        pytest.param([], {"Content-Language": "fr"}, "fr", id="header"),
        pytest.param([], {"Content-Language": "fr, en"}, None, id="several"),
        pytest.param([], {"Content-Language": ["fr", "en"]}, None, id="several lines"),
        pytest.param(
            [{"http-equiv": "Content-Language", "content": "es"}],
            {"Content-Language": "fr"},
            "es",
            id="meta element",
        ),
        pytest.param(
            [{"name": "HTML@/lang", "content": "english"}],
            {"Content-Language": "fr"},
            None,
            id="a word hides the header",
        ),
        pytest.param([], {}, None, id="none"),
    ],
)
def test_a_page_has_the_language_that_it_names(
    metas: list[dict[str, str]], headers: dict[str, Any], language: str | None
) -> None:
    found = only(wat([CAT], metas=metas, headers={"Content-Type": "text/html", **headers}))

    assert found.content is not None
    assert found.content.language == language
    assert [pair.language for pair in found.content.pairs] == [language]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, "parsed", id="a page"),
        pytest.param({"headers": {"content-type": "Text/HTML; charset=x"}}, "parsed", id="case"),
        pytest.param(
            {"headers": {"Content-Type": "image/png"}, "html": False}, "not_html", id="image"
        ),
        pytest.param({"headers": {}}, "parsed", id="undeclared"),
        pytest.param({"headers": {}, "html": False}, "not_html", id="undeclared and not parsed"),
        pytest.param({"html": False}, "parsed", id="nothing in it"),
        pytest.param({"status": "404"}, "http_error", id="404"),
        pytest.param({"status": "x"}, "http_error", id="no status"),
        pytest.param({"url": "http://a:b@site.example/"}, "bad_url", id="password"),
        pytest.param({"header": {"WARC-Truncated": "length"}}, "cut", id="truncated"),
        pytest.param(
            {"metas": [{"name": "robots", "content": "noai"}]}, "robots_denied", id="robots"
        ),
        pytest.param(
            {"metas": [{"name": "tdm-reservation", "content": "1"}]}, "robots_denied", id="TDM"
        ),
        pytest.param(
            {"metas": [{"name": "robots", "property": "x", "content": "noai"}]},
            "robots_denied",
            id="robots beside a property",
        ),
        pytest.param(
            {"headers": {"Content-Type": "text/html", "X-Robots-Tag": ["nofollow", "noindex"]}},
            "robots_denied",
            id="header",
        ),
    ],
)
def test_a_page_ends_in_a_state(changes: dict[str, Any], expected: str) -> None:
    found = only(wat([CAT], **changes))

    assert found.state == expected
    assert (found.content is not None) is (expected in ("parsed", "cut"))


@pytest.mark.parametrize("more", [0, 1], ids=["within", "beyond"])
def test_a_page_of_too_many_elements_gives_nothing(more: int) -> None:
    found = only(wat([CAT] * (MAX_ELEMENTS + more)))

    assert found.state == ("page_too_complex" if more else "parsed")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(wat(kind="request"), id="a request"),
        pytest.param(wat(kind="warcinfo"), id="the beginning of a file"),
        pytest.param(wat(url="dns:site.example"), id="another protocol"),
        pytest.param(record(b"a: b", kind="warcinfo", content_type="x/y"), id="no metadata"),
        pytest.param(record(b"a: b", kind="metadata", content_type="x/y"), id="no JSON"),
    ],
)
def test_what_tells_of_no_page_is_none(content: bytes) -> None:
    assert pages(content) == []


def metadata(block: bytes) -> bytes:
    return record(block, kind="metadata", content_type="application/json")


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="a list"),
        pytest.param(json.dumps({"Container": {}}).encode(), id="no envelope"),
        pytest.param(json.dumps({"Envelope": {"Payload-Metadata": 1}}).encode(), id="a number"),
        pytest.param(
            b'{"Envelope": {"WARC-Header-Metadata": {"WARC-Type": "\xff"}}}', id="no UTF-8"
        ),
        pytest.param(b'{"Envelope": {}, "x": ' + b"[" * 5000 + b"]" * 5000 + b"}", id="deep"),
    ],
)
def test_a_record_of_another_form_is_a_fault(block: bytes) -> None:
    found = pages(gz(wat([CAT]), metadata(block), wat([CAT])))

    assert [getattr(one, "state", one) for one in found] == ["parsed", "no_metadata", "parsed"]


def test_a_damaged_record_stands_among_the_pages_as_a_fault() -> None:
    found = pages(gz(wat([CAT])) + broken(gz(wat([CAT] * 50))) + gz(wat([CAT])))

    assert [getattr(one, "state", one) for one in found] == ["parsed", "damaged", "parsed"]


def test_a_page_whose_pairs_are_above_the_budget_is_too_complex(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair_chars = len("http://site.example/cat.png") + len("../cat.png") + len("a cat")
    monkeypatch.setattr(budget, "MAX_PAIR_CHARS", 3 * pair_chars)

    assert only(wat([CAT] * 3)).state == "parsed"
    assert only(wat([CAT] * 4)).state == "page_too_complex"


def test_a_wat_gives_what_its_warc_gives() -> None:
    """Write the same pages both ways, as far as a WAT knows of them."""
    images = [
        {"url": "a.png", "alt": "one"},
        {"url": "/b.png", "alt": "two", "title": "second"},
        {"url": "blank.gif", "alt": "three"},
        {"url": "c.png", "alt": ""},
        {"url": "data:x", "alt": "four"},
        {"url": "http://b\xfccher.example/d e.png", "alt": "f\xfcnf"},
    ]
    html = "<html lang=en><base href=/z/><meta property=og:image content=o.png>"
    html += "<meta property=og:image:alt content=six>"
    for image in images:
        html += f"<img src='{image['url']}' alt='{image['alt']}' title='{image.get('title', '')}'>"
    metas = [
        {"name": "HTML@/lang", "content": "en"},
        {"property": "og:image", "content": "o.png"},
        {"property": "og:image:alt", "content": "six"},
    ]
    links = [{"path": "IMG@/src", **image} for image in images]
    content = record(answer(html.encode(), kind="text/html; charset=utf-8"))

    [of_warc] = warc_reading.read_pages(
        BytesIO(content), "x", texts=TEXTS, web=WebConfig(), max_page_bytes=10_000
    )
    of_wat = only(wat(links, metas=metas, base="/z/"), texts=TEXTS)

    assert isinstance(of_warc, ArchivedPage)
    assert of_warc.content is not None
    assert of_wat.content is not None
    assert judged(of_warc.content) == of_wat.content
    assert len(of_wat.content.pairs) == 6


def test_a_page_of_a_warc_is_none_of_a_wat() -> None:
    assert pages(page("<img src=a.png alt=cat>")) == []
