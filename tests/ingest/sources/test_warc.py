"""The pages of WARC files, as rows."""

import gzip
from io import BytesIO
from typing import Any

import pytest
from archives_made import PAGE, answer, broken, gz, in_small_letters, page, record
from webpages import judged

from openalign.files.states import PageState, RecordFault
from openalign.ingest.sources.archives.archive_reading import ArchivedPage
from openalign.ingest.sources.archives.warc_reading import read_pages
from openalign.ingest.web.config import WebConfig
from openalign.ingest.webpage.page import parse_page

CAT = "<html lang=en><img src=../cat.png alt='a cat'>"


def pages(content: bytes, **changes: Any) -> list[ArchivedPage | RecordFault]:
    settings: dict[str, Any] = {"texts": ("alt",), "web": WebConfig(), "max_page_bytes": 10_000}
    found = list(read_pages(BytesIO(content), "x.warc", **(settings | changes)))
    for one in found:
        if isinstance(one, ArchivedPage) and one.content is not None:
            judged(one.content)
    return found


def only(content: bytes, **changes: Any) -> ArchivedPage:
    [found] = pages(content, **changes)
    assert isinstance(found, ArchivedPage)
    return found


def state(block: bytes, **changes: Any) -> PageState:
    return only(record(block), **changes).state


def alts(found: ArchivedPage) -> list[str]:
    assert found.content is not None
    return [pair.alt_text for pair in found.content.pairs]


def test_a_page_has_its_pairs_and_its_place() -> None:
    first = record(b"", kind="warcinfo", content_type="application/warc-fields")
    found = only(gz(first, page(CAT)))

    assert (found.url, found.final_url, found.http_status) == (PAGE, PAGE, 200)
    assert (found.state, found.archive, found.offset) == ("parsed", "x.warc", len(gz(first)))
    assert found.content is not None
    [pair] = found.content.pairs
    assert pair.image_url == "http://site.example/cat.png"
    assert (pair.alt_text, pair.found_in, pair.raw_image_url) == ("a cat", "img_alt", "../cat.png")
    assert pair.language == "en"
    assert found.content.links == []


@pytest.mark.parametrize("kind", ["request", "revisit", "metadata", "warcinfo", "conversion"])
def test_only_responses_are_pages(kind: str) -> None:
    assert pages(record(answer(CAT.encode()), kind=kind)) == []


@pytest.mark.parametrize("url", ["dns:site.example", "ftp://site.example/", "urn:x", ""])
def test_what_came_over_another_protocol_is_no_page(url: str) -> None:
    assert pages(record(b"20260101 1.2.3.4", url=url, content_type="text/dns")) == []


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param(answer(b"", kind="text/html"), "parsed", id="empty"),
        pytest.param(answer(b"<p>", kind="TEXT/HTML; charset=utf-8"), "parsed", id="parameter"),
        pytest.param(answer(b"<p/>", kind="application/xhtml+xml"), "parsed", id="XHTML"),
        pytest.param(answer(b" \n<p>", kind=""), "parsed", id="undeclared, looks like HTML"),
        pytest.param(answer(b"\xef\xbb\xbf<p>", kind=""), "parsed", id="undeclared, with a mark"),
        pytest.param(answer(b"cat", kind=""), "not_html", id="undeclared, another thing"),
        pytest.param(answer(b"", kind=""), "not_html", id="undeclared and empty"),
        pytest.param(
            answer(gzip.compress(b"<p>"), "Content-Encoding: gzip", kind=""),
            "parsed",
            id="undeclared, HTML in gzip",
        ),
        pytest.param(
            answer(gzip.compress(b"cat"), "Content-Encoding: gzip", kind=""),
            "not_html",
            id="undeclared, another thing in gzip",
        ),
        pytest.param(answer(b"<p>", kind="image/png"), "not_html", id="an image"),
        pytest.param(answer(b"<p>", status="404 Not Found"), "http_error", id="404"),
        pytest.param(answer(b"", "Location: /", status="301 Moved"), "http_error", id="redirect"),
        pytest.param(answer(b"<p>", status="206 Partial"), "parsed", id="another success"),
        pytest.param(answer(b"<p>" * 5000), "cut", id="long"),
        pytest.param(answer(b"<p>" + b"<b>" * 500_001), "cut", id="cut before it is too complex"),
    ],
)
def test_a_response_ends_in_a_state(block: bytes, expected: str) -> None:
    assert state(block) == expected


def test_a_page_that_is_too_complex_gives_nothing() -> None:
    found = only(page("<b>" * 500_001), max_page_bytes=10_000_000)

    assert (found.state, found.content) == ("page_too_complex", None)


@pytest.mark.parametrize("field", ["WARC-Truncated: length\r\n", "WARC-Segment-Number: 1\r\n"])
def test_a_page_that_its_crawler_cut_is_cut(field: str) -> None:
    found = only(page(CAT, more=field))

    assert (found.state, alts(found)) == ("cut", ["a cat"])


@pytest.mark.parametrize(("num_bytes", "expected"), [(10_000, "parsed"), (10_001, "cut")])
def test_a_page_above_its_limit_is_cut(num_bytes: int, expected: str) -> None:
    html = CAT.encode().ljust(num_bytes)

    assert state(answer(html)) == expected
    assert state(answer(gzip.compress(html), "Content-Encoding: gzip")) == expected


@pytest.mark.parametrize(
    ("header", "is_withheld"),
    [
        ("X-Robots-Tag: noai", True),
        ("X-Robots-Tag: otherbot: noai", False),
        ("X-Robots-Tag: nofollow", False),
        ("TDM-Reservation: 1", True),
        ("TDM-Reservation: 0", False),
    ],
)
def test_a_header_withholds_a_page(header: str, *, is_withheld: bool) -> None:
    block = answer(CAT.encode(), header)

    assert (state(block) == "robots_denied") is is_withheld
    assert state(block, web=WebConfig(respect_opt_outs=False)) == "parsed"


def test_a_page_withholds_itself() -> None:
    found = only(page("<meta name=robots content=noindex>" + CAT))

    assert (found.state, found.content) == ("robots_denied", None)


@pytest.mark.parametrize(
    ("url", "final_url"),
    [
        ("<http://site.example/>", "http://site.example/"),
        ("HTTP://Site.example:80/a/../b#c", "http://site.example/b"),
        ("http://me:secret@site.example/", None),
    ],
)
def test_an_address_is_canonical_beside_the_one_that_is_written(
    url: str, final_url: str | None
) -> None:
    found = only(page(CAT, url=url))

    assert found.url == url.strip("<>")
    assert found.final_url == final_url
    assert found.state == ("parsed" if final_url else "bad_url")


def test_the_charset_and_language_of_the_header_count() -> None:
    html = "<img src=a.png alt=\u044f>".encode("windows-1251")
    found = only(
        record(answer(html, "Content-Language: ru", kind="text/html; charset=windows-1251"))
    )

    assert found.content is not None
    assert [(p.alt_text, p.language) for p in found.content.pairs] == [("\u044f", "ru")]


def test_texts_are_those_that_count() -> None:
    html = "<img src=a.png alt=cat title='my cat'>"

    assert alts(only(page(html))) == ["cat"]
    assert alts(only(page(html), texts=("title",))) == ["my cat"]


def test_a_page_whose_record_has_names_in_small_letters_is_read_as_any_other() -> None:
    small = in_small_letters(page(CAT, more="WARC-Truncated: length\r\n"))
    first, second = pages(gz(small, page(CAT)))

    assert isinstance(first, ArchivedPage)
    assert isinstance(second, ArchivedPage)
    assert (first.url, first.state, alts(first)) == (PAGE, "cut", ["a cat"])
    assert (second.url, second.state, second.offset) == (PAGE, "parsed", len(gz(small)))


@pytest.mark.parametrize("encoding", ["gzip", '"gzip"'])
def test_a_page_of_several_members_has_all_of_its_images(encoding: str) -> None:
    html = b"".join(b"<img src=%d.png alt=cat>" % number for number in range(50))
    block = answer(gz(html[:400], html[400:]), f"Content-Encoding: {encoding}")

    found = only(record(block))

    assert found.state == "parsed"
    assert len(alts(found)) == 50


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        pytest.param(b"", RecordFault.NO_HTTP, id="empty"),
        pytest.param(b"<html>", RecordFault.NO_HTTP, id="no header"),
        pytest.param(
            answer(b"\xff\0" * 40, "Content-Encoding: br"),
            RecordFault.BAD_ENCODING,
            id="an encoding that it does not have",
        ),
    ],
)
def test_a_bad_response_is_a_fault_and_no_page(block: bytes, fault: RecordFault) -> None:
    first, second, third = pages(gz(page(CAT), record(block), page(CAT)))

    assert second is fault
    assert isinstance(first, ArchivedPage)
    assert isinstance(third, ArchivedPage)


def test_a_damaged_record_stands_among_the_pages_as_a_fault() -> None:
    found = pages(gz(page(CAT)) + broken(gz(page(CAT + " " * 3000))) + gz(page(CAT)))

    assert [getattr(one, "state", one) for one in found] == ["parsed", "damaged", "parsed"]


def test_a_page_is_read_as_parse_page_reads_it() -> None:
    html = (
        "<base href=/b/><picture><source srcset='l.jpg 2x'><img src=s.gif alt=one></picture>"
        "<img data-src=lazy.jpg src=blank.gif alt=two><img alt=three><img src=data:x alt=four>"
    )
    expected = parse_page(
        html.encode(), page_url=PAGE, charset=None, texts=("alt",), with_links=False
    )

    assert only(page(html)).content == judged(expected)
