"""Bytes to text, as WHATWG Encoding and HTML 13.2.3 say."""

import encodings.aliases
import random

import pytest
from webencodings.labels import LABELS
from webpages import parse

from openalign.ingest.webpage.page_text.encoding import decode_as, decode_page


@pytest.mark.parametrize(
    ("body", "charset", "expected"),
    [
        pytest.param("dög".encode(), "utf-8", "dög", id="as the server says"),
        pytest.param("dög".encode("latin-1"), "ISO-8859-1", "dög", id="latin-1"),
        pytest.param(b"\x93dog\x94", "latin1", "\u201cdog\u201d", id="latin-1 as browsers read it"),
        pytest.param("\ufeffdög".encode(), "latin-1", "dög", id="byte order mark wins"),
        pytest.param("dög".encode("utf-16"), "utf-8", "dög", id="UTF-16 by its mark"),
        pytest.param(
            "<meta charset=koi8-r>кот".encode("koi8-r"), None, "<meta charset=koi8-r>кот", id="meta"
        ),
        pytest.param(
            '<meta http-equiv=Content-Type content="text/html; charset=Shift_JIS">猫'.encode(
                "cp932"
            ),
            None,
            '<meta http-equiv=Content-Type content="text/html; charset=Shift_JIS">猫',
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
    assert decode_page(body, charset).text == expected


JAPANESE, RUSSIAN, GERMAN = "美しい花", "Кошка", "Köln kühl"
CHINESE, KOREAN, THAI, HEBREW = "猫在树上", "고양이", "แมว", "שלום"
QUOTED = "\u201cx\u201d \u20ac"


def page(head: str, text: str, codec: str, before: str = "") -> bytes:
    html = f"<html><head>{before}{head}</head><body>{text}</body></html>"
    return html.encode(codec)


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        pytest.param("latin-1", "cp1252", QUOTED, id="latin-1, which is no label"),
        pytest.param("latin1", "cp1252", QUOTED, id="latin1"),
        pytest.param("us-ascii", "cp1252", QUOTED, id="us-ascii"),
        pytest.param('"iso8859-1"', "cp1252", QUOTED, id="quotation marks"),
        pytest.param(" ISO-8859-1\t", "cp1252", QUOTED, id="spaces and capitals"),
        pytest.param("iso-8859-9", "cp1254", "\u201ckaş\u201d", id="iso-8859-9"),
        pytest.param("windows-874", "cp874", THAI, id="windows-874"),
        pytest.param("tis-620", "cp874", THAI, id="tis-620"),
        pytest.param("x-sjis", "cp932", JAPANESE, id="x-sjis"),
        pytest.param("ms_kanji", "cp932", JAPANESE, id="ms_kanji"),
        pytest.param("windows-31j", "cp932", JAPANESE + "①", id="windows-31j"),
        pytest.param("x-euc-jp", "euc_jp", JAPANESE, id="x-euc-jp"),
        pytest.param("euc-jp", "euc_jp", JAPANESE, id="euc-jp"),
        pytest.param("iso-2022-jp", "iso2022_jp", JAPANESE, id="iso-2022-jp"),
        pytest.param("ks_c_5601-1987", "cp949", KOREAN + "뷁", id="ks_c_5601-1987"),
        pytest.param("windows-949", "cp949", KOREAN, id="windows-949"),
        pytest.param("euc-kr", "cp949", "뷁", id="euc-kr is wider"),
        pytest.param("x-gbk", "gbk", CHINESE, id="x-gbk"),
        pytest.param("gb2312", "gb18030", CHINESE + "镕", id="gb2312 is wider"),
        pytest.param("gb_2312-80", "gbk", CHINESE, id="gb_2312-80"),
        pytest.param("gb18030", "gb18030", "\U00020000", id="gb18030, four bytes"),
        pytest.param("big5", "big5hkscs", "㗎 喺", id="big5 holds Hong Kong's"),
        pytest.param("big5-hkscs", "big5hkscs", "㗎", id="big5-hkscs"),
        pytest.param("x-x-big5", "big5", "貓", id="x-x-big5"),
        pytest.param("iso-8859-8-i", "iso8859_8", HEBREW, id="iso-8859-8-i"),
        pytest.param("logical", "iso8859_8", HEBREW, id="logical"),
        pytest.param("x-mac-cyrillic", "mac_cyrillic", RUSSIAN, id="x-mac-cyrillic"),
        pytest.param("macintosh", "mac_roman", "é", id="macintosh"),
        pytest.param("x-cp1251", "cp1251", RUSSIAN, id="x-cp1251"),
        pytest.param("cp1251", "cp1251", RUSSIAN, id="cp1251"),
        pytest.param("unicode-1-1-utf-8", "utf-8", RUSSIAN, id="unicode-1-1-utf-8"),
        pytest.param("utf8", "utf-8", RUSSIAN, id="utf8"),
        pytest.param("utf-16", "utf-16-le", RUSSIAN, id="utf-16 is little-endian"),
        pytest.param("utf-16be", "utf-16-be", RUSSIAN, id="utf-16be"),
        pytest.param("win-1251", "utf-8", RUSSIAN, id="no label: win-1251"),
        pytest.param("utf-8,utf-8", "utf-8", RUSSIAN, id="no label: two at once"),
        pytest.param("utf-32", "utf-8", RUSSIAN, id="no label: utf-32"),
        pytest.param("cp037", "utf-8", RUSSIAN, id="no label: cp037"),
        pytest.param("utf-7", "ascii", "+ADw-script", id="no label: utf-7"),
    ],
)
def test_what_the_server_says(label: str, codec: str, text: str) -> None:
    body = page("", text, codec)

    assert decode_page(body, label).text == body.decode(codec)


@pytest.mark.parametrize(
    ("body", "charset", "expected"),
    [
        pytest.param(b"a\x81\x9d", "windows-1252", "a\x81\x9d", id="controls of windows-1252"),
        pytest.param(b"\xd2", "windows-1253", "\ufffd", id="a gap of windows-1253"),
        pytest.param(b"\xca", "windows-1255", "\u05ba", id="windows-1255"),
        pytest.param(b"\xae\xbe", "koi8-u", "ўЎ", id="koi8-u"),
        pytest.param(b"\x80", "gbk", "€", id="gbk has the euro"),
        pytest.param(b"\xa3\xa0\xa8\xbc", "gb18030", "\u3000ḿ", id="gb18030 of 2022"),
        pytest.param(b"\xa1\x45", "big5", "\u2027", id="big5"),
        pytest.param(b"\xad\xa1\xa1\xc1", "euc-jp", "①\uff5e", id="euc-jp has NEC's rows"),
        pytest.param(b"\xf9\xa1", "euc-jp", b"\xed\x40".decode("cp932"), id="and IBM's"),
        pytest.param(b"\xa8\xdc\xa1\xa1", "euc-jp", "\ufffd\u3000", id="a gap of euc-jp"),
        pytest.param(b"\x80\xff", "x-user-defined", "\uf780\uf7ff", id="x-user-defined"),
        pytest.param(b"~{<:Ky2;~}", "hz-gb-2312", "\ufffd", id="replacement"),
        pytest.param(b"", "hz-gb-2312", "", id="replacement of nothing"),
        pytest.param(
            b"\xff\xfe" + RUSSIAN.encode("utf-16-le"), "utf-8", RUSSIAN, id="a mark before all"
        ),
    ],
)
def test_bytes_that_python_reads_otherwise(body: bytes, charset: str, expected: str) -> None:
    assert decode_page(body, charset).text == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"a\\~\x0e\xa4b", "a\\~\ufffd\ufffdb", id="ASCII"),
        pytest.param(b"\x1b(Ja\\~\x0f\x1b(B~", "a\xa5\u203e\ufffd~", id="Roman"),
        pytest.param(b"\x1b(I1!_\x1b(B1", "\uff71\uff61\uff9f1", id="katakana"),
        pytest.param(b"\x1b(I `\n\xb1", "\ufffd" * 4, id="no katakana"),
        pytest.param(b"\x1b$@0!\x1b$B-!!A", "亜①\uff5e", id="pairs, NEC's and as browsers do"),
        pytest.param(b"\x1b$B0!\n \x7f0!", "亜\ufffd\ufffd\ufffd亜", id="no first of a pair"),
        pytest.param(b"\x1b$B0\n0!", "\ufffd亜", id="no second of a pair"),
        pytest.param(b"\x1b$B(\\0!", "\ufffd亜", id="a pair that nothing has"),
        pytest.param(b"\x1b$B0\x1b(B0", "\ufffd0", id="an escape within a pair"),
        pytest.param(b"\x1b$B0", "\ufffd", id="an end within a pair"),
        pytest.param(b"x\x1b", "x\ufffd", id="an escape alone at the end"),
        pytest.param(b"x\x1b(", "x\ufffd(", id="half of one at the end"),
        pytest.param(b"\x1b(Ax\x1b$Cx", "\ufffd(Ax\ufffd$Cx", id="an unknown escape"),
        pytest.param(b"\x1b$B\x1b0!", "\ufffd亜", id="one among pairs"),
        pytest.param(b"\x1b(B\x1b$B0!", "\ufffd亜", id="two escapes in a row"),
    ],
)
def test_iso_2022_jp_as_the_standard_decodes_it(body: bytes, expected: str) -> None:
    assert decode_page(body, "iso-2022-jp").text == expected


@pytest.mark.parametrize("end", [b"\x1b", b"\x1b(", b"\x1b$", b"\x1b(B", b"\x1b$B0"])
def test_a_cut_leaves_out_half_an_escape_of_iso_2022_jp(end: bytes) -> None:
    assert decode_page(b"\x1b$B0!" + end, "iso-2022-jp", is_cut=True).text == "亜"


@pytest.mark.parametrize("encoding", sorted(set(LABELS.values())))
def test_no_bytes_break_an_encoding(encoding: str) -> None:
    random_bytes = random.Random(1)
    telling = b"\x1b($BJI~{}0A!\x0e\x80\x81\x8e\x8f\xa1\xd8\xfe\xff"

    for number in range(2000):
        body = random_bytes.randbytes(number % 40)
        for page in (body, bytes(telling[byte % len(telling)] for byte in body)):
            assert decode_as(page, encoding).text is not None
            assert decode_as(page, encoding, is_cut=True).text is not None


FAR = "x" * 1100


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            page("<!-- <meta charset=koi8-r> --><meta charset=utf-8>", GERMAN, "utf-8"),
            GERMAN,
            id="not in a comment, but behind it",
        ),
        pytest.param(
            page("<!-- <meta charset=shift_jis> -->", GERMAN, "utf-8"), GERMAN, id="in a comment"
        ),
        pytest.param(
            page("<!--><meta charset=koi8-r>-->", RUSSIAN, "koi8-r"), RUSSIAN, id="empty comment"
        ),
        pytest.param(
            page("<meta name=description content='charset=koi8-r'>", GERMAN, "utf-8"),
            GERMAN,
            id="in a description",
        ),
        pytest.param(
            page("<a title='<meta charset=koi8-r>'>", GERMAN, "utf-8"), GERMAN, id="in an attribute"
        ),
        pytest.param(
            page(
                "<meta content='text/html; charset=windows-1251' http-equiv=Content-Type>",
                RUSSIAN,
                "cp1251",
            ),
            RUSSIAN,
            id="http-equiv, content first",
        ),
        pytest.param(
            page("<meta http-equiv=refresh content='charset=koi8-r'>", GERMAN, "utf-8"),
            GERMAN,
            id="another http-equiv",
        ),
        pytest.param(
            page(f"<meta content='{'y' * 420}' charset=windows-1251>", RUSSIAN, "cp1251"),
            RUSSIAN,
            id="a long attribute before",
        ),
        pytest.param(
            page("<meta charset=no-such><meta charset=koi8-r>", RUSSIAN, "koi8-r"),
            RUSSIAN,
            id="the first that is known",
        ),
        pytest.param(
            page("<meta charset=x-user-defined>", QUOTED, "cp1252"), QUOTED, id="x-user-defined"
        ),
        pytest.param(
            page("<!doctype html><?php ?></html ><meta charset=koi8-r>", RUSSIAN, "koi8-r"),
            RUSSIAN,
            id="behind declarations",
        ),
        pytest.param(
            page("<script>s = '<meta charset=koi8-r>'</script>", RUSSIAN, "koi8-r"),
            RUSSIAN,
            id="in a script: the standard looks there",
        ),
        pytest.param(
            page("", RUSSIAN, "cp1251", "<?xml version='1.0' encoding='windows-1251'?>"),
            "",
            id="an XML declaration must come first",
        ),
        pytest.param(
            ('<?xml version="1.0" encoding="windows-1251"?><p>' + RUSSIAN).encode("cp1251"),
            RUSSIAN,
            id="XML declaration",
        ),
        pytest.param(
            ('<?xml version="1.0" encoding="Shift_JIS"?><p>' + JAPANESE).encode("cp932"),
            JAPANESE,
            id="XML declaration: Shift_JIS",
        ),
        pytest.param(
            ('<?xml version="1.0" encoding="utf-8"?><meta charset=koi8-r>' + RUSSIAN).encode(
                "koi8-r"
            ),
            RUSSIAN,
            id="a meta element before an XML declaration",
        ),
        pytest.param(
            ('<?xml version="1.0" encoding="utf-16"?>' + GERMAN).encode(), GERMAN, id="XML lies"
        ),
        pytest.param(
            ('<?xml version="1.0"?>' + GERMAN).encode("utf-16-be"), GERMAN, id="XML in UTF-16"
        ),
    ],
)
def test_what_the_page_says(body: bytes, expected: str) -> None:
    assert expected in decode_page(body, None).text


@pytest.mark.parametrize(
    ("body", "is_cut", "expected", "encoding"),
    [
        pytest.param(
            (GERMAN + RUSSIAN).encode() + b"\xff x",
            False,
            RUSSIAN + "\ufffd x",
            "utf-8",
            id="one broken byte",
        ),
        pytest.param(
            (GERMAN + RUSSIAN).encode()[:-1], False, "\ufffd", "utf-8", id="an end in a character"
        ),
        pytest.param(
            ("x" * 40 + "é").encode()[:-1],
            True,
            "x" * 40,
            "utf-8",
            id="a cut in the only character",
        ),
        pytest.param("caf\xe9".encode("cp1252"), True, "caf", "utf-8", id="a cut that may be one"),
        pytest.param("caf\xe9".encode("cp1252"), False, "café", "windows-1252", id="Windows"),
        pytest.param(
            "caf\xe9 na\xefve Ã©".encode("cp1252"),
            False,
            "naïve Ã©",
            "windows-1252",
            id="Windows with one sequence of UTF-8",
        ),
        pytest.param("a\ufffdb".encode(), False, "a\ufffdb", "utf-8", id="U+FFFD of the page"),
    ],
)
def test_a_guess(body: bytes, *, is_cut: bool, expected: str, encoding: str) -> None:
    read = decode_page(body, None, is_cut=is_cut)

    assert read.text.endswith(expected)
    assert (read.encoding, read.is_guess) == (encoding, True)


@pytest.mark.parametrize(
    ("label", "text"), [("shift_jis", JAPANESE), ("utf-8", RUSSIAN), ("utf-16le", RUSSIAN)]
)
def test_a_cut_leaves_out_half_a_character_and_no_more(label: str, text: str) -> None:
    body = text.encode({"shift_jis": "cp932", "utf-16le": "utf-16-le"}.get(label, label))[:-1]

    assert decode_page(body, label, is_cut=True).text == text[:-1]
    assert decode_page(body, label).text == text[:-1] + "\ufffd"


@pytest.mark.parametrize(
    ("head", "text", "codec"),
    [
        pytest.param("<meta charset=shift_jis>", JAPANESE, "cp932", id="shift_jis"),
        pytest.param("<meta charset=windows-1251>", RUSSIAN, "cp1251", id="windows-1251"),
        pytest.param("<meta charset=gb2312>", CHINESE, "gb18030", id="gb2312"),
        pytest.param(
            "<meta http-equiv=content-type content='text/html;charset=koi8-r'>",
            RUSSIAN,
            "koi8-r",
            id="http-equiv",
        ),
        pytest.param(
            "<!-- <meta charset=koi8-r> --><script>'<meta charset=koi8-r>'</script>",
            RUSSIAN,
            "utf-8",
            id="none that is real",
        ),
    ],
)
def test_a_meta_element_behind_the_first_kilobyte_counts(head: str, text: str, codec: str) -> None:
    for before in (f"<!--{FAR}-->", f"<title>{FAR}</title>", f"<style>{FAR}</style>"):
        body = page(head, f"<img src=x.png alt='{text}'>", codec, before)
        [pair] = parse(body, charset=None).pairs
        assert pair.alt_text == text


def test_a_server_is_believed_before_a_late_meta_element() -> None:
    body = page("<meta charset=koi8-r>", f"<img src=x alt='{RUSSIAN}'>", "utf-8", f"<!--{FAR}-->")

    [pair] = parse(body, charset="utf-8").pairs
    assert pair.alt_text == RUSSIAN


def every_codec() -> list[str]:
    return sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values(), "undefined"})


@pytest.mark.parametrize(
    "label", ["undefined", "idna", "punycode", "utf-7", "unicode_escape", "zlib", "no such", "\0"]
)
def test_a_label_that_is_no_encoding_of_a_page_is_passed_over(label: str) -> None:
    html = f"<meta charset='{label}'><img src=x.png alt='größe \\ud800 +2AA- a\\x41'>".encode()

    for charset in (None, label):
        [pair] = parse(html, charset=charset).pairs
        assert pair.alt_text == "größe \\ud800 +2AA- a\\x41"


def test_no_label_breaks_a_page() -> None:
    body = b"<img src=x.png alt='" + bytes(range(256)) * 2 + b"\\ud800+2AA-'>"

    for label in every_codec():
        meta = f"<meta charset={label}>".encode()
        assert parse(body, charset=label) is not None
        assert parse(meta + body, charset=None) is not None
