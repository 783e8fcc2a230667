"""What is on a removal list, and what is not."""

from pathlib import Path

import polars as pl
import pytest

from openalign.files.removals import NO_REMOVALS, read_removals, removals_of, write_removals

URLS = pl.Series(
    [
        "http://a.example/1.png",
        "http://a.example/2.png",
        "https://cdn.b.example:8443/x",
        "http://b.example/x",
        "http://xb.example/x",
        "ni:///sha-256;abc",
    ]
)

ODD = [
    *("http://[::1]:8080/x", "http://b.example./x", "http://1.2.3.4/", "https://localhost/x"),
    *("http://a.b..c/", "http://" + "a." * 126 + "a/"),
]


def test_an_address_is_left_out_by_itself_its_host_or_a_domain_around_it() -> None:
    by_url = removals_of(["http://a.example/2.png"], [], [])
    by_host = removals_of([], ["a.example"], [])
    by_domain = removals_of([], ["*.b.example"], [])

    assert by_url.of_addresses(URLS).tolist() == [False, True, False, False, False, False]
    assert by_host.of_addresses(URLS).tolist() == [True, True, False, False, False, False]
    assert by_domain.of_addresses(URLS).tolist() == [False, False, True, True, False, False]
    assert not NO_REMOVALS.of_addresses(URLS).any()


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param((["http://a.example/2.png", ODD[0]], [], []), id="addresses"),
        pytest.param(([], ["a.example", "[::1]", "b.example."], []), id="hosts"),
        pytest.param(([], ["*.b.example", "*.example", "*.b..c"], []), id="domains"),
        pytest.param(([], ["*.b.example."], ["ab" * 32]), id="a domain with the root"),
        pytest.param(([], [], []), id="nothing"),
    ],
)
def test_one_address_is_left_out_as_it_is_among_others(
    entries: tuple[list[str], list[str], list[str]],
) -> None:
    urls, removals = pl.Series([*URLS, *ODD]), removals_of(*entries)

    expected = removals.of_addresses(urls).tolist()

    assert [removals.has_address(url) for url in urls] == expected
    assert any(expected) == any(entries[:2])


@pytest.mark.parametrize("dot", ["", "."])
@pytest.mark.parametrize(
    "entries",
    [
        (["http://b.example{}/x", "https://cdn.b.example{}:8443/x"], []),
        ([], ["b.example{}", "cdn.b.example{}"]),
        ([], ["*.b.example{}"]),
    ],
    ids=["addresses", "hosts", "a domain"],
)
def test_a_host_s_last_dot_makes_no_other_host(
    entries: tuple[list[str], list[str]], dot: str
) -> None:
    urls = ["http://b.example/x", "http://b.example./x"]
    urls += ["https://cdn.b.example:8443/x", "https://cdn.b.example.:8443/x"]
    others = ["http://xb.example./x", "http://b.example/y."]

    addresses, hosts = ([entry.format(dot) for entry in part] for part in entries)
    removals = removals_of(addresses, hosts, [])

    found = removals.of_addresses(pl.Series([*urls, others[0]])).tolist()
    assert found == [True] * 4 + [False]
    assert removals.has_address(others[1]) == bool(entries[1])


def test_a_host_is_not_the_hosts_below_it() -> None:
    assert removals_of([], ["b.example"], []).of_addresses(URLS).tolist()[2:4] == [False, True]


def test_contents_are_left_out_by_their_hash() -> None:
    removals = removals_of([], [], ["ab" * 32])

    assert removals.of_contents(pl.Series(["ab" * 32, "cd" * 32])).tolist() == [True, False]
    assert [removals.has_content(sha256) for sha256 in ("ab" * 32, "cd" * 32)] == [True, False]
    assert not removals.of_addresses(pl.Series(["ab" * 32])).any()


def test_removals_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = removals_of(["http://b.example/", "http://a.example/"], ["c.example"], [])
    write_removals(str(tmp_path), written)

    read = read_removals(str(tmp_path))

    assert [part.tolist() for part in read.parts] == [part.tolist() for part in written.parts]
    assert read.fingerprint == written.fingerprint != NO_REMOVALS.fingerprint


def test_the_order_of_entries_and_repetitions_change_nothing() -> None:
    one = removals_of(["http://a.example/", "http://b.example/"], [], [])
    other = removals_of(["http://b.example/", "http://a.example/", "http://b.example/"], [], [])
    elsewhere = removals_of([], ["http://a.example/", "http://b.example/"], [])

    assert one.fingerprint == other.fingerprint != elsewhere.fingerprint


def test_each_of_many_entries_is_found_and_nothing_else() -> None:
    listed = [f"http://a.example/{number}" for number in range(0, 2000, 2)]
    asked = [f"http://a.example/{number}" for number in range(2000)]

    found = removals_of(listed, [], []).of_addresses(pl.Series(asked))

    assert found.tolist() == [url in set(listed) for url in asked]
    assert removals_of(listed, [], []).of_addresses(pl.Series([], dtype=pl.String)).tolist() == []
