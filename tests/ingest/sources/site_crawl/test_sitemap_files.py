"""Sitemaps as they are found: XML and text, packed, cut, broken, and made to hurt."""

import gzip

import pytest

from openalign.ingest.sources.site_crawl import sitemap_files
from openalign.ingest.sources.site_crawl.sitemap_files import (
    MAX_SITEMAP_URLS,
    NotASitemapError,
    Sitemap,
    read_sitemap,
)

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
A, B = "http://a.example/a", "http://a.example/b?x=1&y=2"
ENTRY_A = f"<url><loc>{A}</loc></url>"
ENTRY_B = f"<url><loc>{B.replace('&', '&amp;')}</loc></url>"


def urlset(*entries: str) -> bytes:
    return f'<?xml version="1.0"?><urlset {NAMESPACE}>{"".join(entries)}</urlset>'.encode()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            urlset(ENTRY_A, ENTRY_B),
            id="the protocol's",
        ),
        pytest.param(
            urlset(
                f"<url><loc>\n {A}\n</loc><lastmod>2020</lastmod></url>",
                f"<url><priority>1</priority><loc><![CDATA[{B}]]></loc></url>",
            ),
            id="blanks, other elements, CDATA",
        ),
        pytest.param(
            b"\n\n  " + urlset(f"<url><loc>{A}</loc></url><url><loc>{B[:-4]}&#38;y=2</loc></url>"),
            id="blank lines before the declaration",
        ),
        pytest.param(
            f"<s:urlset xmlns:s='x'><s:url><s:loc>{A}</s:loc></s:url>"
            f"<s:url><s:loc>{B.replace('&', '&amp;')}</s:loc></s:url></s:urlset>".encode(),
            id="a prefix",
        ),
        pytest.param(
            urlset(
                f"<url><loc>{A}</loc><image:image xmlns:image='i'><image:loc>http://a.example/i.png"
                "</image:loc></image:image></url>",
                f"<url><loc>{B.replace('&', '&amp;')}</loc><loc></loc></url>",
            ),
            id="an image's address is no page's",
        ),
        pytest.param(f"\ufeff{A}\r\n\r\n  {B}\n".encode(), id="lines"),
        pytest.param(gzip.compress(f"{A}\n{B}".encode()), id="packed lines"),
        pytest.param(
            gzip.compress(f"{A}\n".encode()) + gzip.compress(B.encode()), id="two members"
        ),
        pytest.param(
            (
                '<?xml version="1.0" encoding="utf-16"?><urlset>'
                f"<url><loc>{A}</loc></url><url><loc>{B.replace('&', '&amp;')}</loc></url></urlset>"
            ).encode("utf-16"),
            id="UTF-16",
        ),
    ],
)
def test_pages_are_read(body: bytes) -> None:
    assert read_sitemap(body) == Sitemap(pages=[A, B])


def test_an_index_names_sitemaps() -> None:
    body = f"<sitemapindex {NAMESPACE}><sitemap><loc>{A}</loc></sitemap></sitemapindex>"

    assert read_sitemap(body.encode()) == Sitemap(sitemaps=[A])
    assert read_sitemap(gzip.compress(body.encode())) == Sitemap(sitemaps=[A])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(urlset(ENTRY_A)[:-4], id="a missing end"),
        pytest.param(urlset(f"<url><loc>{A}</loc></url><url><loc>x & y</loc>"), id="a bare &"),
        pytest.param(urlset(f"<url><loc>{A}</loc></url></x>"), id="a wrong end tag"),
        pytest.param(gzip.compress(A.encode() + b"\n")[:-4], id="a packed file that was cut"),
        pytest.param(gzip.compress(A.encode() + b"\n") + b"\x1f\x8brest", id="a broken member"),
        pytest.param(f"{A}\nnot an address\n".encode(), id="a line that is no address"),
    ],
)
def test_what_is_broken_is_read_as_far_as_that(body: bytes) -> None:
    assert read_sitemap(body) == Sitemap(pages=[A], is_broken=True)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<!DOCTYPE html><html><p>Not found</html>", id="a page"),
        pytest.param(b"<html><p>Not found</html>", id="a page without a declaration"),
        pytest.param(b"Not found", id="text"),
        pytest.param(b"<rss><channel><item><loc>x</loc></item></channel></rss>", id="a feed"),
        pytest.param(b'{"urls": []}', id="JSON"),
        pytest.param(gzip.compress(b"\0" * 100), id="packed nothing"),
    ],
)
def test_what_is_no_sitemap_says_so(body: bytes) -> None:
    with pytest.raises(NotASitemapError):
        read_sitemap(body)


def test_no_entity_is_expanded() -> None:
    laughs = "".join(f"<!ENTITY l{n} '&l{n - 1};&l{n - 1};'>" for n in range(1, 40))
    body = (
        f"<!DOCTYPE urlset [<!ENTITY l0 'ha'>{laughs}]><urlset><url><loc>&l39;</loc></url></urlset>"
    )

    with pytest.raises(NotASitemapError):
        read_sitemap(body.encode())


def test_a_file_outside_is_not_read() -> None:
    body = (
        b'<!DOCTYPE urlset [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
        b"<urlset><url><loc>&f;</loc></url></urlset>"
    )

    with pytest.raises(NotASitemapError):
        read_sitemap(body)


def test_the_protocols_number_of_addresses_is_read_and_no_more() -> None:
    entries = [f"<url><loc>http://a.example/{n}</loc></url>" for n in range(MAX_SITEMAP_URLS + 1)]

    whole, more = read_sitemap(urlset(*entries[:-1])), read_sitemap(urlset(*entries))

    assert (len(whole.pages), whole.is_cut) == (MAX_SITEMAP_URLS, False)
    assert (len(more.pages), more.is_cut, more.is_broken) == (MAX_SITEMAP_URLS, True, False)
    assert more.pages == whole.pages


def test_what_lies_behind_the_limit_of_bytes_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = f"{A}\n{B}".encode()
    monkeypatch.setattr(sitemap_files, "MAX_SITEMAP_BYTES", len(A))

    assert read_sitemap(lines) == Sitemap(pages=[A], is_cut=True)
    assert read_sitemap(gzip.compress(lines)) == Sitemap(pages=[A], is_cut=True)
    assert read_sitemap(lines[: len(A)]) == Sitemap(pages=[A])
    monkeypatch.setattr(sitemap_files, "MAX_SITEMAP_BYTES", len(urlset(ENTRY_A)))
    cut = read_sitemap(urlset(ENTRY_A, ENTRY_A))
    assert cut == Sitemap(pages=[A], is_cut=True)


def test_a_packed_file_that_grows_without_end_is_unpacked_as_far_as_the_limit() -> None:
    bomb = gzip.compress(f"{A}\n".encode() + b" " * 200_000_000, compresslevel=1)

    assert read_sitemap(bomb) == Sitemap(pages=[A], is_cut=True)
