"""Queries of a page's addresses in the page's encoding (WHATWG URL, 4.4)."""

import pytest
from webencodings.labels import LABELS
from webpages import judged, parse

from openalign.ingest.web.urls import canonical_url
from openalign.ingest.webpage.page_text.query import query_escape

SITE = "http://site.example"


@pytest.mark.parametrize(
    ("encoding", "query", "expected"),
    [
        pytest.param("windows-1252", "q=café", "q=caf%E9", id="windows-1252"),
        pytest.param("windows-1252", "q=€\x81", "q=%80%81", id="its own bytes"),
        pytest.param("windows-1252", "q=кот", "q=%26%231082%3B%26%231086%3B%26%231090%3B", id="no"),
        pytest.param("windows-1252", "q=\U0001f600", "q=%26%23128512%3B", id="beyond 16 bits"),
        pytest.param("windows-1252", "q=\ufffd", "q=%26%2365533%3B", id="a broken byte"),
        pytest.param("windows-1251", "q=кот", "q=%EA%EE%F2", id="windows-1251"),
        pytest.param("koi8-r", "q=кот", "q=%CB%CF%D4", id="koi8-r"),
        pytest.param("shift_jis", "q=猫", "q=%94L", id="a letter as second byte"),
        pytest.param("shift_jis", "q=表", "q=%95\\", id="a backslash as second byte"),
        pytest.param("shift_jis", "q=ⅰｱ\u2212", "q=%FA@%B1%81|", id="IBM's, half width, minus"),
        pytest.param("euc-jp", "q=猫①\xa5", "q=%C7%AD%AD%A1\\", id="euc-jp"),
        pytest.param("iso-2022-jp", "q=猫犬a猫", "q=%1B$BG-8$%1B(Ba%1B$BG-%1B(B", id="iso-2022-jp"),
        pytest.param("iso-2022-jp", "q=、ｱ", "q=%1B$B!%22%1B(B%26%2365393%3B", id="a quote in it"),
        pytest.param("gbk", "q=猫€\xff", "q=%C3%A8%80%26%23255%3B", id="gbk"),
        pytest.param("gb18030", "q=猫€\xff", "q=%C3%A8%A2%E3%810%8B7", id="gb18030"),
        pytest.param("big5", "q=貓═", "q=%BF%DF%F9%F9", id="big5"),
        pytest.param("euc-kr", "q=고", "q=%B0%ED", id="euc-kr"),
        pytest.param("utf-8", "q=é", "q=%C3%A9", id="utf-8"),
        pytest.param("utf-16le", "q=é", "q=%C3%A9", id="utf-16"),
        pytest.param("replacement", "q=é", "q=%C3%A9", id="replacement"),
    ],
)
def test_a_query_is_escaped_in_the_encoding_of_the_page(
    encoding: str, query: str, expected: str
) -> None:
    escape = query_escape(encoding)

    assert canonical_url(f"/é?{query}", SITE, escape=escape) == f"{SITE}/%C3%A9?{expected}"
    assert canonical_url(f"?{query}#é?é", f"{SITE}/", escape=escape) == f"{SITE}/?{expected}"
    assert canonical_url(f"/#?{query}", SITE, escape=escape) == f"{SITE}/"


def test_what_is_ascii_is_escaped_as_ever() -> None:
    escape = query_escape("windows-1252")

    assert (
        canonical_url("/?a=%E9 '\"<>é", SITE, escape=escape) == f"{SITE}/?a=%E9%20%27%22%3C%3E%E9"
    )
    assert canonical_url("http://é.example/?é", escape=escape) == "http://xn--9ca.example/?%E9"
    assert canonical_url("mailto:é?é", SITE, escape=escape) is None


def test_an_address_is_as_long_as_it_is_written() -> None:
    query = "é" * 4000

    assert canonical_url(f"/?{query}", SITE, escape=query_escape("koi8-r")) == (
        f"{SITE}/?" + "%26%23233%3B" * 4000
    )


@pytest.mark.parametrize("encoding", sorted(set(LABELS.values())))
def test_every_encoding_escapes_every_character(encoding: str) -> None:
    escape = query_escape(encoding)
    text = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x10000), 0x10000, 0x10FFFF)))

    assert escape is None or escape(text).isascii()


@pytest.mark.parametrize(
    ("charset", "codec", "word", "escaped"),
    [
        pytest.param("iso-8859-1", "cp1252", "café", "caf%E9", id="iso-8859-1"),
        pytest.param("Shift_JIS", "cp932", "猫", "%94L", id="Shift_JIS"),
        pytest.param("windows-1251", "cp1251", "кот", "%EA%EE%F2", id="windows-1251"),
        pytest.param("utf-8", "utf-8", "é", "%C3%A9", id="utf-8"),
        pytest.param("utf-16le", "utf-16-le", "é", "%C3%A9", id="utf-16"),
    ],
)
def test_every_address_of_a_page_is_in_its_encoding(
    charset: str, codec: str, word: str, escaped: str
) -> None:
    html = (
        f"<base href='/b?{word}'><a href='#x'>x</a><a href='/l?{word}'>x</a>"
        f"<img alt=a src='/i?{word}'>"
        f"<img alt=b srcset='/s?{word} 2x'><img alt=c data-src='/d?{word}'>"
        f"<picture><source srcset='/p?{word}'><img alt=d></picture>"
    ).encode(codec)

    for images_later in (False, True):
        page = judged(parse(html, charset=charset, images_later=images_later))

        found = {pair.image_url for pair in page.pairs}
        assert found == {f"{SITE}/{name}?{escaped}" for name in "isdp"}
        assert page.links == [f"{SITE}/b?{escaped}", f"{SITE}/l?{escaped}"]
        assert {pair.raw_image_url for pair in page.pairs} == {f"/{n}?{word}" for n in "isdp"}
