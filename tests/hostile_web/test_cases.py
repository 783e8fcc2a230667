"""The table of cases, and the page that shows it."""

from collections import Counter
from pathlib import Path

import pytest

from openalign import cli
from openalign.files.states import FetchState
from openalign.hostile_web.case import Case
from openalign.hostile_web.cases import all_cases, table
from openalign.hostile_web.made_images import NO_IMAGES, UNDECODED
from openalign.images.signatures import Kind, format_of

PAGE = Path(__file__).parents[2] / "docs" / "hostile_web.md"

_NOT_OF_HOSTS = {
    FetchState.NOT_TRIED,
    FetchState.REMOVED,
    FetchState.NOT_THERE,
    FetchState.OUT_OF_BUDGET,
    FetchState.HASH_MISMATCH,
}
"""States that a setting or a table brings about."""


def test_every_state_that_a_host_can_bring_about_has_a_case() -> None:
    assert {case.state for case in all_cases()} == set(FetchState) - _NOT_OF_HOSTS


def test_every_case_has_a_host_of_its_own() -> None:
    hosts = Counter(host for case in all_cases() for host in (case.host, case.neighbor))

    assert {host for host, num in hosts.items() if num > 1} == set()


def test_the_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["hostile-web", "--list"]) == 0

    printed = capsys.readouterr().out.splitlines()
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert printed == table(all_cases()) == page[-len(printed) :]
    assert all(line.count("|") == 5 for line in printed)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        pytest.param("status-503", "fetched", id="mends, and can heal"),
        pytest.param("status-404", "http_gone", id="mends, and is not asked again"),
        pytest.param("no-such-name", "dns_failure", id="can heal, and is no server's"),
        pytest.param("name-servfail", "fetched", id="its name mends"),
        pytest.param("name-private", "private_address", id="its name mends, and is not asked for"),
        pytest.param("tls-expired", "fetched", id="its certificate mends"),
        pytest.param("tls-none", "tls_failure", id="its port stays what it is"),
    ],
)
def test_a_round_heals_what_mends_and_can_heal(name: str, after: str) -> None:
    assert case_named(name).state_after_round == after


@pytest.mark.parametrize(
    ("name", "num"),
    [("status-404", 9), ("slow-tarpit", 2), ("hang-up", 2), ("retry-after-long", 1)],
)
def test_few_addresses_are_made_where_many_would_change_the_outcome(name: str, num: int) -> None:
    urls = case_named(name).urls(9, http_port=80)

    assert len(set(urls)) == len(urls) == num
    assert urls[0] == f"http://{name}.hostile.example/0.jpg"


def test_a_host_that_is_reached_by_name_is_asked_at_the_port_of_http() -> None:
    assert case_named("name-alias").urls(1, http_port=8080) == [
        "http://name-alias.hostile.example:8080/0.jpg"
    ]


@pytest.mark.parametrize("name", [*UNDECODED, *NO_IMAGES])
def test_a_format_that_is_no_image_is_what_its_name_says(name: str) -> None:
    found = format_of({**UNDECODED, **NO_IMAGES}[name].ljust(600, b" "))

    assert found is not None
    assert found.name == name
    assert found.kind is (Kind.UNDECODED if name in UNDECODED else Kind.NO_IMAGE)


def case_named(name: str) -> Case:
    [case] = [case for case in all_cases() if case.name == name]
    return case
