"""The fetcher and hosts that ask to be left alone, that are too slow, and that never answer."""

import time
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler

import pytest
from downloads import BODY, OTHER, content, failure, fetch, fetch_one
from faulty_web import HOST, SITE, Reply, Web, serve

from openalign.ingest.web.answers import Head
from openalign.ingest.web.client import WebClient
from openalign.ingest.web.config import HostConfig

TOO_LONG = [("Retry-After", "3600")]
URLS = [f"{SITE}/{n}" for n in range(30)]
CLOSED = ("asked_to_wait", "the host asks for a longer pause than is kept")


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({"/x": Reply(body=b"x")}) as running:
        yield running


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def head(*headers: tuple[str, str], status: int = 503) -> Head:
    return Head(url=SITE, status=status, headers=headers)


# How long is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("0", 0.0, id="none"),
        pytest.param("120", 120.0, id="seconds"),
        pytest.param("1.5", 1.5, id="a fraction"),
        pytest.param("9" * 400, float("inf"), id="more than a number holds"),
        pytest.param("Thu, 26 Nov 2026 13:02:00 GMT", 120.0, id="date"),
        pytest.param("Thu, 26 Nov 2026 13:02:00 -0000", 120.0, id="date of an unknown zone"),
        pytest.param("Thu, 26 Nov 2026 14:02:00 +0100", 120.0, id="date of another zone"),
        pytest.param("Thu, 26 Nov 2026 12:00:00 GMT", 0.0, id="date that is over"),
        pytest.param("120, 60", 120.0, id="of two servers"),
        pytest.param("60, soon, 120,", 120.0, id="of a list with words"),
        pytest.param("120s", 120.0, id="with a unit"),
        pytest.param("120 sec.", 120.0, id="with a unit that is cut short"),
        pytest.param("120 seconds", 120.0, id="with a word for it"),
        pytest.param("+120", 120.0, id="with a sign"),
        pytest.param("2026-11-26T13:02:00Z", 120.0, id="date of ISO 8601"),
        pytest.param("2026-11-26 13:02:00", 120.0, id="date of ISO 8601 without a zone"),
        pytest.param('"120"', 120.0, id="in quotes"),
        pytest.param("120; x", 120.0, id="with a parameter"),
        pytest.param("120.", 120.0, id="with a point"),
        pytest.param("2 hours", None, id="another unit"),
        pytest.param("soon", None, id="word"),
        pytest.param("-1", None, id="negative"),
        pytest.param("\xb2", None, id="superscript"),
        pytest.param("", None, id="empty"),
    ],
)
@pytest.mark.usefixtures("in_tokyo")
def test_a_retry_after_is_read_by_the_hosts_own_clock(value: str, seconds: float | None) -> None:
    answer = head(("date", "Thu, 26 Nov 2026 13:00:00 GMT"), ("retry-after", value))

    assert answer.retry_after_seconds == seconds


@pytest.mark.parametrize("blank", [" ", "\t", ",", "1,", "+", "9 s "])
def test_a_long_value_is_read_in_one_go(blank: str) -> None:
    """Where time grew with its square, this would take hours, and tests are ended before."""
    answer = head(("retry-after", "120" + blank * 1_000_000 + "x"))

    assert answer.retry_after_seconds in (None, 120, 1201)


def test_the_longest_of_several_holds() -> None:
    answer = head(("retry-after", "120"), ("retry-after", "60"), ("retry-after", "soon"))

    assert answer.retry_after_seconds == 120


def test_without_a_clock_of_the_host_a_date_counts_from_now() -> None:
    answer = head(("retry-after", formatdate(time.time() + 3600, usegmt=True)))

    assert answer.retry_after_seconds is not None
    assert 3500 < answer.retry_after_seconds <= 3600


# Whom it holds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_host_that_wants_a_long_pause_is_not_asked_again(web: Web, status: int) -> None:
    web.routes |= {f"/{n}": Reply(status=status, headers=TOO_LONG) for n in range(30)}

    outcomes = fetch(web.download(connections_per_host=1), URLS)

    ends = Counter(failure(outcome) for outcome in outcomes.values())
    assert ends == {("http_server_error", f"HTTP {status}"): 1, CLOSED: 29}
    assert sum(web.asked[f"/{n}"] for n in range(30)) == 1


def test_what_is_under_way_when_a_host_closes_ends_as_it_is_answered(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(status=429, headers=TOO_LONG) for n in range(30)}
    web.routes["/0"] = Reply(body=b"late", before_seconds=0.5)

    outcomes = fetch(web.download(connections_per_host=2), URLS)

    assert content(outcomes[URLS[0]]) == b"late"
    assert sum(web.asked[f"/{n}"] for n in range(30)) == 2


def test_a_host_stays_closed_for_later_calls_and_the_others_open(web: Web) -> None:
    web.routes["pictures.example/0"] = Reply(status=429, headers=TOO_LONG)

    with WebClient(web.download(), accept="*/*", body=BODY) as client:
        first = list(client.ask([URLS[0]]))
        second = {outcome.url: outcome for outcome in client.ask([f"{SITE}/x", f"{OTHER}/x"])}

    assert failure(first[0]) == ("http_server_error", "HTTP 429")
    assert failure(second[f"{SITE}/x"]) == CLOSED
    assert content(second[f"{OTHER}/x"]) == b"x"


def test_a_robots_txt_that_wants_a_long_pause_closes_its_host(web: Web) -> None:
    web.routes["/robots.txt"] = Reply(status=503, headers=TOO_LONG)

    outcomes = fetch(web.download(), URLS)

    assert {failure(outcome) for outcome in outcomes.values()} == {CLOSED}
    assert web.asked == {"/robots.txt": 1}


def test_what_waits_for_its_next_attempt_ends_when_its_host_closes(web: Web) -> None:
    web.routes["/ill"] = Reply(status=500)
    web.routes["/busy"] = Reply(status=429, headers=TOO_LONG, before_seconds=0.3)
    config = web.download(retry_seconds=50.0, respect_robots=False)

    outcomes = fetch(config, [f"{SITE}/ill", f"{SITE}/busy"])

    assert failure(outcomes[f"{SITE}/ill"]) == CLOSED
    assert web.asked["/ill"] == 1


def test_a_redirect_to_a_closed_host_ends_there(web: Web) -> None:
    web.routes["other.example/busy"] = Reply(status=503, headers=TOO_LONG)
    web.routes["/away"] = Reply(status=302, headers=[("Location", f"{OTHER}/x")])

    with WebClient(web.download(), accept="*/*", body=BODY) as client:
        list(client.ask([f"{OTHER}/busy"]))
        [outcome] = client.ask([f"{SITE}/away"])

    assert failure(outcome) == CLOSED
    assert outcome.head is not None
    assert outcome.head.url == f"{SITE}/away"


@pytest.mark.parametrize("num_retries", [0, 2], ids=["last attempt", "first attempt"])
def test_a_short_pause_holds_the_host_whatever_becomes_of_the_address(
    web: Web, num_retries: int
) -> None:
    web.routes["/busy"] = [Reply(status=429, headers=[("Retry-After", "1")]), Reply(body=b"now")]
    config = web.download(connections_per_host=1, num_retries=num_retries, respect_robots=False)

    fetch(config, [f"{SITE}/busy", f"{SITE}/x"])

    assert web.times["/x"][0] - web.times["/busy"][0] >= 1.0


def test_a_pause_that_robots_txt_asks_for_holds_the_host(web: Web) -> None:
    web.routes["/robots.txt"] = [
        Reply(status=503, headers=[("Retry-After", "1")]),
        Reply(body=b""),
    ]

    assert content(fetch_one(web, "/x")) == b"x"
    first, second = web.times["/robots.txt"]
    assert second - first >= 1.0


def test_an_error_that_is_the_askers_own_holds_nobody(web: Web) -> None:
    web.routes["/no"] = Reply(status=403, headers=TOO_LONG)

    outcomes = fetch(web.download(connections_per_host=1), [f"{SITE}/no", f"{SITE}/x"])

    assert content(outcomes[f"{SITE}/x"]) == b"x"


def test_the_longest_pause_may_differ_between_hosts(web: Web) -> None:
    web.routes["/busy"] = [Reply(status=429, headers=[("Retry-After", "1")]), Reply(body=b"now")]
    hosts = {"other.example": HostConfig(max_retry_seconds=0.5)}
    urls = [f"{SITE}/busy", f"{OTHER}/busy"]
    web.routes["other.example/busy"] = Reply(status=429, headers=[("Retry-After", "1")])

    outcomes = fetch(web.download(hosts=hosts), [*urls, f"{OTHER}/x"])

    assert content(outcomes[f"{SITE}/busy"]) == b"now"
    assert failure(outcomes[f"{OTHER}/busy"])[0] == "http_server_error"


# Dead hosts, and slow ones ------------------------------------------------------------------------


def test_the_rest_of_a_dead_host_ends_at_once_and_not_at_its_pace(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(hang_up=True) for n in range(200)}
    urls = [f"{SITE}/{n}" for n in range(200)]
    config = web.download(
        requests_per_second=2.0,
        num_retries=0,
        host_failures=2,
        host_seconds=20.0,  # their pace would take 100
        respect_robots=False,
    )

    outcomes = fetch(config, urls)

    assert {failure(outcome)[0] for outcome in outcomes.values()} == {"connect_failure"}
    assert sum(web.asked.values()) == 2


def test_what_waits_longer_than_its_hosts_time_ends_unasked(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(body=b"y") for n in range(30)}
    config = web.download(requests_per_second=2.0, host_seconds=1.2, respect_robots=False)

    outcomes = fetch(config, [*URLS, f"{OTHER}/x"])

    late = [url for url in URLS if web.asked[url.removeprefix(SITE)] == 0]
    assert 26 <= len(late) <= 28
    assert {failure(outcomes[url]) for url in late} == {
        ("out_of_budget", "the host has taken all of its time")
    }
    assert content(outcomes[f"{OTHER}/x"]) == b"x"


def test_a_robots_txt_that_takes_all_the_time_of_a_host_ends_its_addresses(web: Web) -> None:
    web.routes["/robots.txt"] = Reply(status=500)

    outcome = fetch_one(web, "/x", retry_seconds=50.0, host_seconds=0.5)

    assert failure(outcome) == ("out_of_budget", "the host has taken all of its time")


# Settings of one host -----------------------------------------------------------------------------


def test_a_host_may_have_more_connections_than_the_others(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(body=b"y", before_seconds=0.1) for n in range(30)}
    hosts = {HOST: HostConfig(connections_per_host=5)}

    fetch(web.download(connections_per_host=1, hosts=hosts), URLS)

    assert web.most_at_once == 5


def test_a_host_may_have_another_rate_than_the_others(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(body=b"y") for n in range(30)}
    hosts = {"*.example": HostConfig(requests_per_second=10_000.0)}

    fetch(web.download(requests_per_second=0.01, hosts=hosts), URLS)

    assert sum(web.asked.values()) == 31


def test_a_crawl_delay_holds_where_a_setting_is_faster(web: Web) -> None:
    web.routes["/robots.txt"] = Reply(body=b"User-agent: *\nCrawl-delay: 0.5")
    web.routes["/y"] = Reply(body=b"y")
    hosts = {HOST: HostConfig(requests_per_second=10_000.0)}

    fetch(web.download(hosts=hosts), [f"{SITE}/x", f"{SITE}/y"])

    assert abs(web.times["/x"][0] - web.times["/y"][0]) >= 0.45


def test_the_body_of_an_error_may_stall_and_its_retry_after_still_holds(web: Web) -> None:
    def stalls(handler: BaseHTTPRequestHandler) -> Reply:
        del handler
        return Reply(status=429, headers=TOO_LONG, body=b"slowly, slowly", a_byte_a_second=True)

    web.routes |= {f"/{n}": stalls for n in range(30)}

    outcomes = fetch(web.download(connections_per_host=1, total_seconds=1.0), URLS)

    ends = Counter(failure(outcome) for outcome in outcomes.values())
    assert ends == {("http_server_error", "HTTP 429"): 1, CLOSED: 29}
