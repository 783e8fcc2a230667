import random

import ada_url
import polars as pl
import pytest

from openalign.ingest.web.urls import (
    _BEHIND_FOLDER,
    _BEHIND_HOST,
    _CANONICAL,
    MAX_HOST_CHARS,
    MAX_URL_CHARS,
    address_name_of,
    canonical_url,
    canonical_urls,
    host_of,
    hosts_of,
    origin_of,
)

PAGE = "http://site.example/a/b.html?q=1"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("HTTP://Site.Example:80/x.png", "http://site.example/x.png", id="case, port"),
        pytest.param("https://site.example:443", "https://site.example/", id="empty path"),
        pytest.param("http://site.example:8080/", "http://site.example:8080/", id="other port"),
        pytest.param("../x y.png", "http://site.example/x%20y.png", id="dots and a space"),
        pytest.param("//cdn.example/i.png", "http://cdn.example/i.png", id="without a scheme"),
        pytest.param("?q=2", "http://site.example/a/b.html?q=2", id="query alone"),
        pytest.param("x.png#part", "http://site.example/a/x.png", id="fragment dropped"),
        pytest.param("#part", "http://site.example/a/b.html?q=1", id="nothing but a fragment"),
        pytest.param(" \n x.png\t", "http://site.example/a/x.png", id="white space around"),
        pytest.param("http://bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4", id="IDN"),
        pytest.param("mailto:a@b.example", None, id="mail"),
        pytest.param("javascript:void(0)", None, id="script"),
        pytest.param("data:image/gif;base64,AA", None, id="data"),
        pytest.param("file:///etc/passwd", None, id="file"),
        pytest.param("http://", None, id="no host"),
        pytest.param("http://user:secret@site.example/", None, id="with a password"),
        pytest.param("http://site.example/\ud800", None, id="half a character"),
    ],
)
def test_a_url_has_one_spelling(raw: str, expected: str | None) -> None:
    assert canonical_url(raw, PAGE) == expected


def test_a_url_may_be_so_long_and_no_longer() -> None:
    start = "http://site.example/"
    longest = start + "a" * (MAX_URL_CHARS - len(start))

    assert canonical_url(longest) == longest
    assert canonical_url(longest + "a") is None
    assert canonical_urls(pl.Series([longest, longest + "a"])).to_list() == [longest, None]


@pytest.mark.parametrize("end", ["/", ":8080/x", "./", "/" + "x" * 300])
def test_a_host_may_be_so_long_and_no_longer(end: str) -> None:
    """RFC 1035 has 255 bytes for a name, of which one is the length of its first label."""
    labels = "a." * (MAX_HOST_CHARS // 2)
    longest, longer = f"http://{labels}a{end}", f"http://{labels}ab{end}"
    assert len(labels + "a") == MAX_HOST_CHARS

    assert canonical_url(longest, PAGE) == longest
    assert canonical_url(longer, PAGE) is None
    assert canonical_urls(pl.Series([longest, longer])).to_list() == [longest, None]


def test_without_a_base_only_whole_addresses_are_urls() -> None:
    assert canonical_url("x.png") is None


def by_properties(raw: str, base: str | None) -> str | None:
    """Return what `canonical_url` does, from the parser's own properties: the slow way."""
    try:
        url = ada_url.URL(raw, base=base)
    except ValueError:
        return None
    is_web = url.protocol in ("http:", "https:") and bool(url.hostname)
    if not is_web or url.username or url.password:
        return None
    return str(url.href).partition("#")[0]


HOSTS = [
    *("a.example", "A.Example", "1.2.3.4", "0x7f.1", "256", "a.1", "a.0x1f", "a.0xg", "a.1."),
    *("xn--bcher-kva.example", "xn--a", "axn--a.com", "b.xn--", "xN--a.b", "bücher.example"),
    *("a..b", ".a", "a.", "-a.com", "a-.com", "ab--c.com", "[::1]", "[::1", "a_b.com", "a b"),
    *("a%41.com", "\u3002com", "faß.de", "a\u00adb.com", "a,b.com", "a'b", "%00", "①.com", "", "."),
    *("u@a", "u:p@a", "@a", "a@b@c", "a:80", "a:443", "a:8080", "a:", "a:0080", "a:65536", "a:x"),
]
PIECES = [
    *"ab09-._~!$&'()*+,;=:@/?%#[]|\\^`{}<>\" \t\n\0\x7fé漢\u2028\ud800",
    *("%2e", "%2E%2e", "/../", "/./", "/..", "/.", "//", "%z", "/.a", "/a.", "C|/", "&amp;"),
]
SCHEMES = [
    "http://",
    "https://",
    "HTTP:",
    "http:/",
    "//",
    "",
    "ftp://",
    "data:",
    "http:\\\\",
    " http://",
]
BASES = [None, PAGE, "http://h/", "https://h:8080/a/b/", "http://h/a;b?c/d", "http://1.2.3.4//a//"]


def test_an_odd_url_comes_out_as_the_parsers_properties_tell() -> None:
    rng = random.Random(0)
    bare = [scheme + host + end for scheme in SCHEMES for host in HOSTS for end in ("", "/", "?")]
    paths = [f"http://a.b/{start}{piece}c" for start in ("", "x", "x/", "?") for piece in PIECES]
    mixed = [
        rng.choice(SCHEMES) + rng.choice(HOSTS) + "/" + "".join(rng.choices(PIECES, k=5))
        for _ in range(20_000)
    ]
    relative = ["".join(rng.choices([*PIECES, *"aa///?"], k=4)) for _ in range(20_000)]
    odd = bare + paths + mixed + relative

    expected = [by_properties(raw, base) for base in BASES for raw in odd]

    assert [canonical_url(raw, base) for base in BASES for raw in odd] == expected
    whole = [raw for raw in odd if "\ud800" not in raw]  # a column holds no half a character
    assert canonical_urls(pl.Series(whole)).to_list() == [by_properties(raw, None) for raw in whole]
    assert sum(url is not None for url in expected) > len(odd)


def test_what_needs_no_parser_is_what_the_parser_would_leave_as_it_is() -> None:
    rng = random.Random(1)
    letters = [*"ab019-.-.", "xn--", "0x", "1a", "--"]
    urls = [
        f"http://{''.join(rng.choices(letters, k=rng.randint(1, 6)))}{rng.choice(['', '.com'])}/"
        + "".join(rng.choices(PIECES, k=rng.randint(0, 3)))
        for _ in range(50_000)
    ]
    passed = [url for url in urls if "xn--" not in url and _CANONICAL.fullmatch(url)]

    assert len(passed) > 2_000
    assert [by_properties(url, None) for url in passed] == passed


def test_a_column_of_urls_has_the_hosts_of_each() -> None:
    odd = [f"{scheme}{host}/x:y@z?a#b" for scheme in SCHEMES for host in HOSTS]
    urls = [url for raw in odd if (url := canonical_url(raw)) is not None]

    assert len(urls) > 100
    assert hosts_of(pl.Series(urls)).to_list() == [host_of(url) for url in urls]


def test_hosts_have_no_port_and_origins_do() -> None:
    assert host_of("https://site.example:8443/x") == "site.example"
    assert origin_of("https://site.example:8443/x") == "https://site.example:8443"
    assert origin_of("http://a/") == "http://a"
    assert origin_of("http://[::1]:8080/x?y=//z/") == "http://[::1]:8080"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("http://site.example/x", "site.example:80", id="http"),
        pytest.param("https://site.example/x", "site.example:443", id="https"),
        pytest.param("https://site.example:80/x", "site.example:80", id="named port"),
        pytest.param("http://[::1]/x", "[::1]:80", id="IPv6"),
    ],
)
def test_an_address_name_is_a_host_with_its_port(url: str, expected: str) -> None:
    assert address_name_of(url) == expected


def test_relative_addresses_that_need_no_parser_come_out_as_the_parser_would_join_them() -> None:
    rng = random.Random(2)
    letters = [*"ab01-_~!$&()*+,;=:@.%/?'", "a/", "/b", "//", "%2e", "..", "C|"]
    raws = ["".join(rng.choices(letters, k=rng.randint(1, 7))) for _ in range(50_000)]
    passed = [raw for raw in raws if _BEHIND_HOST.fullmatch(raw) or _BEHIND_FOLDER.fullmatch(raw)]

    assert len(passed) > 2_000
    for base in filter(None, BASES):
        expected = [by_properties(raw, base) for raw in passed]
        assert [canonical_url(raw, base) for raw in passed] == expected
