"""XHTML, read as a parser of XML reads it."""

import pytest
from webpages import pairs, parse

from openalign.ingest.webpage.page_text.xhtml import as_html

CAT = [("/a/x.png", "cat", "img_alt")]
IMG = '<img src="x.png" alt="cat"/>'


@pytest.mark.parametrize(
    "html",
    [
        pytest.param(f'<script src="a.js"/>{IMG}', id="script"),
        pytest.param(f"<style/>{IMG}", id="style"),
        pytest.param(f"<title/>{IMG}", id="title"),
        pytest.param(f"<textarea/>{IMG}", id="textarea"),
        pytest.param(f"<iframe src='a' />{IMG}", id="iframe"),
        pytest.param(f"<template/>{IMG}", id="template"),
        pytest.param(f'<script>//<![CDATA[\n"</script><p>"\n//]]></script>{IMG}', id="CDATA"),
        pytest.param(f"<script>a()<!-- </script> -->b()</script>{IMG}", id="comment in a script"),
        pytest.param(f"<?php <img src='y'> ?>{IMG}", id="processing instruction"),
        pytest.param(f"<!-- <img/> -->{IMG}</p></body>", id="an end without a start"),
        pytest.param('<img src="x.png" alt="cat"></img>', id="an end tag of an empty element"),
    ],
)
def test_an_image_behind_what_html_would_swallow(html: str) -> None:
    page = f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{html}</body></html>'

    assert pairs(page, is_xml=True) == CAT


def test_what_swallows_the_page_in_html_does_so_there() -> None:
    assert pairs(f'<script src="a.js"/>{IMG}') == []


def test_a_caption_of_cdata_is_text() -> None:
    caption = "a <![CDATA[<b> & cat]]> at <br></br> home"
    html = f"<figure><img src='x.png'/><figcaption>{caption}</figcaption></figure>"

    assert pairs(html, is_xml=True) == [("/a/x.png", "a <b> & cat at home", "figcaption")]


def test_an_element_that_is_closed_by_a_slash_holds_nothing() -> None:
    html = f"<figure/>{IMG}<figure><figcaption>dog</figcaption></figure>"

    assert pairs(html, is_xml=True) == CAT
    assert as_html("<br></br>") == "<br>"
    assert as_html("<a id='x'/>b<br/>") == "<a id='x'/></a>b<br/>"


def test_language_and_links_of_xhtml() -> None:
    page = parse('<html xml:lang="de"><script/><a href="/b"/></html>', is_xml=True)

    assert (page.language, page.links) == ("de", ["http://site.example/b"])


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        pytest.param("<?xml version='1.0' encoding='koi8-r'?>", "koi8-r", id="declaration"),
        pytest.param("<meta charset='koi8-r'/>", "utf-8", id="a meta element says nothing in XML"),
    ],
)
def test_encoding_of_xhtml(declared: str, codec: str) -> None:
    body = f"{declared}<img src='x' alt='\u043a\u043e\u0442'/>".encode(codec)

    [pair] = parse(body, charset=None, is_xml=True).pairs
    assert pair.alt_text == "\u043a\u043e\u0442"


def test_nothing_breaks_the_reading_of_xml() -> None:
    for broken in (
        "<![CDATA[",
        "<!--",
        "<a",
        "<a b='",
        "<",
        "</",
        "<?",
        "]]>",
        "<a<b/>",
        "<![CDATA[<",
    ):
        assert pairs(IMG + broken, is_xml=True) == CAT
