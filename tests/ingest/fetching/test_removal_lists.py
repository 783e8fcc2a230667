"""Removal lists as people write them."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from openalign.errors import InputError
from openalign.ingest.fetching.removal_lists import read_lists

LIST = """\ufeff# asked for on 2026-01-01
HTTP://A.example:80/1.png#top   # an owner's letter

  bücher.example
*.B.example
{sha}
"""


@pytest.mark.parametrize("is_zipped", [False, True])
def test_each_line_is_an_entry_in_its_canonical_form(tmp_path: Path, *, is_zipped: bool) -> None:
    content = LIST.format(sha="AB" * 32).encode()
    (tmp_path / "list.txt").write_bytes(gzip.compress(content) if is_zipped else content)

    removals = read_lists([str(tmp_path / "list.txt")])

    assert [len(part) for part in removals.parts] == [1, 2, 1]
    urls = ["http://a.example/1.png", "http://xn--bcher-kva.example/2", "http://c.b.example/3"]
    assert removals.of_addresses(pl.Series([*urls, "http://a.example/2.png"])).tolist() == [
        True,
        True,
        True,
        False,
    ]
    assert removals.of_contents(pl.Series(["ab" * 32])).all()


@pytest.mark.parametrize("entry", ["https://a.example", "http://a.example/", "http://A.example:80"])
def test_the_address_of_a_site_is_its_host(tmp_path: Path, entry: str) -> None:
    (tmp_path / "list.txt").write_text(entry)

    removals = read_lists([str(tmp_path / "list.txt")])

    urls = pl.Series(["https://a.example/1.png", "http://b.a.example/1.png"])
    assert removals.of_addresses(urls).tolist() == [True, False]


@pytest.mark.parametrize(
    "entry",
    [
        *("a b", "http://", "*.*.example", "ftp://a.example/x", "a*b", ".a.example", '"a.example"'),
        *("a.example,b.example", "a.example;b.example", "a.example,", "(a.example)", "reason=old"),
        *("a..example", "http://a.example,http://b.example", "{a.example}", "a.example&b.example"),
        *("http://*.a.example/", "http://a.example/x\tremoved", "a.example\tremoved"),
        *("http://a.example/x\u2028http://b.example/", "a.example\x0bb.example"),
        *("ab" * 16, "ab" * 20, "a" * 63, "a" * 65, "g" * 64, "ab" * 32 + "."),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, entry: str) -> None:
    (tmp_path / "list.txt").write_text(f"a.example\n{entry}\n")

    with pytest.raises(InputError, match=r"list.txt, line 2: .* is no URL, host or sha256"):
        read_lists([str(tmp_path / "list.txt")])


WHOLE = gzip.compress(b"a.example\n" * 9, mtime=0)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"\x1f\x8bno", WHOLE[:15] + b"\xff" * 4 + WHOLE[19:]],
    ids=["no UTF-8", "no gzip", "damaged within"],
)
def test_a_file_that_is_no_text_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(content)

    with pytest.raises(InputError, match=r"list\.txt cannot be read as a removal list"):
        read_lists([str(tmp_path / "list.txt")])


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"list\.txt"):
        read_lists([str(tmp_path / "list.txt")])


@pytest.mark.parametrize("url", ["http://a!b.example/x.jpg", "http://a~b.example/my photo.jpg"])
def test_an_address_that_a_candidate_can_have_is_taken(tmp_path: Path, url: str) -> None:
    (tmp_path / "list.txt").write_text(f"{url}\n")

    removals = read_lists([str(tmp_path / "list.txt")])

    assert removals.has_address(url.replace(" ", "%20"))
