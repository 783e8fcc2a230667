import pytest

from openalign.ingest.web.urls import (
    MAX_URL_CHARS,
    address_name_of,
    canonical_url,
    host_of,
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


def test_without_a_base_only_whole_addresses_are_urls() -> None:
    assert canonical_url("x.png") is None


def test_hosts_have_no_port_and_origins_do() -> None:
    assert host_of("https://site.example:8443/x") == "site.example"
    assert origin_of("https://site.example:8443/x") == "https://site.example:8443"


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
