"""The fetcher against real servers: what comes back, and what is asked of whom."""

import gzip
import itertools
import socket
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from typing import Any

import pytest
from faulty_web import HOST, SITE, Reply, Web, serve

from openalign.ingest.config import DownloadConfig
from openalign.ingest.download import Failure, Fetcher, Outcome, Response
from openalign.ingest.transfer import BodyRule, Glance, Head, Refusal
from openalign.schemas import FetchState

MANY_BYTES = 100_000
BODY = BodyRule(max_bytes=MANY_BYTES)
OTHER = "http://other.example"
THIRD = "http://third.example"


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({"/x": Reply(body=b"x")}) as running:
        yield running


def fetch(config: DownloadConfig, urls: Sequence[str], body: BodyRule = BODY) -> dict[str, Outcome]:
    with Fetcher(config, accept="*/*", body=body) as fetcher:
        outcomes = list(fetcher.fetch(urls))
    assert sorted(outcome.url for outcome in outcomes) == sorted(urls)
    return {outcome.url: outcome for outcome in outcomes}


def fetch_one(web: Web, path: str, body: BodyRule = BODY, **changes: Any) -> Outcome:
    return fetch(web.download(**changes), [SITE + path], body)[SITE + path]


def failure(outcome: Outcome) -> tuple[str, str]:
    assert isinstance(outcome, Failure)
    return outcome.state.value, outcome.detail


def content(outcome: Outcome) -> bytes:
    assert isinstance(outcome, Response), outcome
    return outcome.body


# Answers ------------------------------------------------------------------------------------------


def test_a_page_comes_back_with_its_head(web: Web) -> None:
    web.routes["/page"] = Reply(
        body=b"hello", headers=[("Content-Type", 'Text/HTML; Charset="utf-8"'), ("X-A", "1")]
    )

    response = fetch_one(web, "/page")

    assert content(response) == b"hello"
    assert response.head is not None
    assert response.head.status == 200
    assert response.head.content_type == "text/html"
    assert response.head.charset == "utf-8"
    assert response.head.header("x-a") == "1"
    assert response.head.url == f"{SITE}/page"


def test_the_user_agent_names_the_project_and_whom_to_write_to(web: Web) -> None:
    fetch_one(web, "/x", contact="https://example.org/crawler")

    [agent] = web.agents
    assert agent.startswith("OpenALIGN/")
    assert agent.endswith("(+https://example.org/crawler)")


def test_a_body_that_was_compressed_is_unpacked(web: Web) -> None:
    packed = gzip.compress(b"hello" * 100)
    web.routes["/packed"] = Reply(body=packed, headers=[("Content-Encoding", "gzip")])

    assert content(fetch_one(web, "/packed")) == b"hello" * 100


def test_many_addresses_of_many_hosts_end_once_each(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(body=str(n).encode()) for n in range(200)}
    urls = [f"{site}/{n}" for site in (SITE, OTHER, THIRD) for n in range(200)]

    outcomes = fetch(web.download(), urls)

    assert {url: content(outcomes[url]) for url in urls} == {
        url: url.rpartition("/")[2].encode() for url in urls
    }
    assert web.asked["/robots.txt"] == 3


def test_a_fetcher_asks_for_robots_txt_once_and_can_be_used_again(web: Web) -> None:
    with Fetcher(web.download(), accept="*/*", body=BODY) as fetcher:
        first = list(fetcher.fetch([f"{SITE}/x"]))
        second = list(fetcher.fetch([f"{SITE}/x"]))

    assert first == second
    assert web.asked == {"/robots.txt": 1, "/x": 2}


def test_a_caller_may_stop_in_the_middle(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(body=b"y") for n in range(50)}
    with Fetcher(web.download(), accept="*/*", body=BODY) as fetcher:
        for _ in fetcher.fetch([f"{SITE}/{n}" for n in range(50)]):
            break

        assert [content(outcome) for outcome in fetcher.fetch([f"{SITE}/x"])] == [b"x"]


# Statuses, retries --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state", "num_asked"),
    [
        pytest.param(400, "http_client_error", 1, id="400"),
        pytest.param(403, "http_client_error", 1, id="403"),
        pytest.param(404, "http_gone", 1, id="404"),
        pytest.param(410, "http_gone", 1, id="410"),
        pytest.param(304, "http_client_error", 1, id="304"),
        pytest.param(429, "http_server_error", 3, id="429"),
        pytest.param(500, "http_server_error", 3, id="500"),
        pytest.param(503, "http_server_error", 3, id="503"),
    ],
)
def test_only_a_status_that_can_heal_is_tried_again(
    web: Web, status: int, state: str, num_asked: int
) -> None:
    web.routes["/bad"] = Reply(status=status, body=b"" if status == 304 else b"sorry")

    outcome = fetch_one(web, "/bad", num_retries=2)

    assert failure(outcome) == (state, f"HTTP {status}")
    assert web.asked["/bad"] == num_asked


def test_what_heals_is_fetched(web: Web) -> None:
    web.routes["/ill"] = [
        Reply(status=500),
        Reply(hang_up=True),
        Reply(body=b"half", length=8),
        Reply(body=b"well"),
    ]

    assert content(fetch_one(web, "/ill", num_retries=3)) == b"well"
    assert web.asked["/ill"] == 4


def test_the_pause_before_a_retry_doubles(web: Web) -> None:
    web.routes["/ill"] = Reply(status=500)

    fetch_one(web, "/ill", num_retries=2, retry_seconds=0.2)

    first, second, third = web.times["/ill"]
    assert second - first >= 0.2
    assert third - second >= 0.4


def test_retry_after_is_kept(web: Web) -> None:
    web.routes["/busy"] = [
        Reply(status=503, headers=[("Retry-After", "1")]),
        Reply(body=b"now"),
    ]

    assert content(fetch_one(web, "/busy")) == b"now"
    first, second = web.times["/busy"]
    assert second - first >= 1.0


def test_retry_after_holds_back_the_whole_host(web: Web) -> None:
    web.routes["/busy"] = [Reply(status=429, headers=[("Retry-After", "1")]), Reply(body=b"now")]
    with Fetcher(web.download(connections_per_host=1), accept="*/*", body=BODY) as fetcher:
        outcomes = list(fetcher.fetch([f"{SITE}/busy", f"{SITE}/x"]))

    assert {content(outcome) for outcome in outcomes} == {b"now", b"x"}
    assert web.times["/x"][0] - web.times["/busy"][0] >= 1.0


@pytest.mark.parametrize("value", ["61", formatdate(time.time() + 3600, usegmt=True)])
def test_a_host_that_asks_for_a_longer_pause_than_allowed_is_not_asked_again(
    web: Web, value: str
) -> None:
    web.routes["/busy"] = Reply(status=503, headers=[("Retry-After", value)])

    assert failure(fetch_one(web, "/busy"))[0] == "http_server_error"
    assert web.asked["/busy"] == 1


# What breaks --------------------------------------------------------------------------------------


def test_a_body_that_ends_early_is_truncated(web: Web) -> None:
    web.routes["/cut"] = Reply(body=b"half", length=8)

    outcome = fetch_one(web, "/cut")

    assert failure(outcome) == ("truncated", "the body ended early")
    assert isinstance(outcome, Failure)
    assert outcome.body == b""
    assert web.asked["/cut"] == 3


def test_a_server_that_hangs_up_is_a_connect_failure(web: Web) -> None:
    web.routes["/gone"] = Reply(hang_up=True)

    assert failure(fetch_one(web, "/gone")) == ("connect_failure", "the server sent nothing")


def test_a_port_where_nobody_listens_is_a_connect_failure() -> None:
    with serve({}) as web:
        config = web.download(num_retries=0)

    outcome = fetch(config, [f"{SITE}/x"])[f"{SITE}/x"]

    assert failure(outcome) == ("connect_failure", "robots.txt: no connection")


def test_a_name_without_an_address_is_a_dns_failure(web: Web) -> None:
    url = "http://no-such-host.invalid/x"

    outcome = fetch(web.download(respect_robots=False), [url])[url]

    assert failure(outcome) == ("dns_failure", "the host has no address")


def test_a_server_without_tls_is_a_tls_failure(web: Web) -> None:
    url = f"https://{HOST}/x"

    outcome = fetch(web.download(respect_robots=False), [url])[url]

    assert failure(outcome) == ("tls_failure", "TLS could not be set up")


def test_no_first_byte_in_time_is_a_timeout(web: Web) -> None:
    web.routes["/late"] = Reply(body=b"late", before_seconds=3)

    outcome = fetch_one(web, "/late", first_byte_seconds=0.3, num_retries=0)

    assert failure(outcome) == ("timeout", "no first byte")


def test_a_tarpit_is_left_after_the_whole_time(web: Web) -> None:
    web.routes["/tar"] = Reply(body=b"slowly", a_byte_a_second=True)

    outcome = fetch_one(web, "/tar", total_seconds=0.5, num_retries=0)

    assert failure(outcome) == ("timeout", "too slow")


def test_a_tarpit_is_left_for_its_slowness(web: Web) -> None:
    web.routes["/tar"] = Reply(body=b"slowly, slowly", a_byte_a_second=True)

    outcome = fetch_one(web, "/tar", slow_seconds=1, min_bytes_per_second=100, num_retries=0)

    assert failure(outcome) == ("timeout", "too slow")


def test_a_socket_that_never_speaks_does_not_hold_up_the_others(web: Web) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        connect_to = {HOST: web.address, "other.example": address}
        config = web.download(connect_to=connect_to, first_byte_seconds=0.3, num_retries=1)
        outcomes = fetch(config, [f"{SITE}/x", *(f"{OTHER}/{n}" for n in range(30))])

    assert content(outcomes[f"{SITE}/x"]) == b"x"
    others = {failure(outcomes[f"{OTHER}/{n}"]) for n in range(30)}
    assert others == {("timeout", "robots.txt: no first byte")}


def test_a_host_that_stopped_answering_is_given_up(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(hang_up=True) for n in range(30)}
    urls = [f"{SITE}/{n}" for n in range(30)]

    outcomes = fetch(web.download(num_retries=0, host_failures=5, connections_per_host=1), urls)

    details = [failure(outcomes[url])[1] for url in urls]
    assert details.count("the server sent nothing") == 5
    assert details.count("the host did not answer many requests before") == 25


def test_a_host_that_answers_now_and_then_is_not_given_up(web: Web) -> None:
    for number in range(30):
        web.routes[f"/{number}"] = Reply(hang_up=True) if number % 2 else Reply(body=b"y")
    urls = [f"{SITE}/{n}" for n in range(30)]

    outcomes = fetch(web.download(num_retries=0, host_failures=2, connections_per_host=1), urls)

    assert sum(isinstance(outcome, Response) for outcome in outcomes.values()) == 15


# Redirects ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(web: Web, status: int) -> None:
    web.routes["/old"] = Reply(status=status, headers=[("Location", "/x")])

    outcome = fetch_one(web, "/old")

    assert content(outcome) == b"x"
    assert outcome.url == f"{SITE}/old"
    assert outcome.head is not None
    assert outcome.head.url == f"{SITE}/x"


def test_a_redirect_loop_ends(web: Web) -> None:
    web.routes["/loop"] = Reply(status=302, headers=[("Location", "/loop")])

    outcome = fetch_one(web, "/loop", max_redirects=4)

    assert failure(outcome) == ("too_many_redirects", "more than 4 redirects")
    assert web.asked["/loop"] == 5


def test_as_many_redirects_as_allowed_are_followed(web: Web) -> None:
    for number in range(4):
        web.routes[f"/{number}"] = Reply(status=302, headers=[("Location", f"/{number + 1}")])
    web.routes["/4"] = Reply(body=b"there")

    assert content(fetch_one(web, "/0", max_redirects=4)) == b"there"
    assert failure(fetch_one(web, "/0", max_redirects=3))[0] == "too_many_redirects"


@pytest.mark.parametrize("headers", [[], [("Location", "ftp://h/x")], [("Location", "")]])
def test_a_redirect_to_nowhere_is_a_bad_url(web: Web, headers: list[tuple[str, str]]) -> None:
    web.routes["/old"] = Reply(status=302, headers=headers)

    assert failure(fetch_one(web, "/old")) == ("bad_url", "HTTP 302 leads to no http URL")


def test_each_hop_is_judged_by_the_robots_txt_of_its_own_host(web: Web) -> None:
    web.routes["other.example/robots.txt"] = Reply(body=b"User-agent: *\nDisallow: /secret")
    web.routes["/to-secret"] = Reply(status=302, headers=[("Location", f"{OTHER}/secret")])
    web.routes["/to-open"] = Reply(status=302, headers=[("Location", f"{OTHER}/x")])

    assert failure(fetch_one(web, "/to-secret")) == ("robots_denied", "robots.txt disallows it")
    assert content(fetch_one(web, "/to-open")) == b"x"
    assert web.asked["/secret"] == 0


def test_the_caller_may_judge_redirects(web: Web) -> None:
    web.routes["/away"] = Reply(status=302, headers=[("Location", f"{OTHER}/x")])
    web.routes["/here"] = Reply(status=302, headers=[("Location", "/x")])
    asked: list[tuple[str, str]] = []

    def judge(url: str, target: str) -> Refusal | None:
        asked.append((url, target))
        if target.startswith(SITE):
            return None
        return Refusal(state=FetchState.OPTED_OUT, detail="not there")

    fetcher = Fetcher(web.download(), accept="*/*", body=BODY, judge_redirect=judge)
    with fetcher:
        outcomes = {o.url: o for o in fetcher.fetch([f"{SITE}/away", f"{SITE}/here"])}

    assert failure(outcomes[f"{SITE}/away"]) == ("opted_out", "not there")
    assert content(outcomes[f"{SITE}/here"]) == b"x"
    assert sorted(asked) == [(f"{SITE}/away", f"{OTHER}/x"), (f"{SITE}/here", f"{SITE}/x")]


# Private addresses --------------------------------------------------------------------------------


def test_a_private_address_is_refused_after_its_name_was_resolved(web: Web) -> None:
    outcome = fetch_one(web, "/x", allowed_networks=())

    assert failure(outcome) == (
        "private_address",
        "robots.txt: 127.0.0.1 is not a public address",
    )
    assert not web.asked


def test_a_private_address_is_refused_without_robots_txt_too(web: Web) -> None:
    outcome = fetch_one(web, "/x", allowed_networks=(), respect_robots=False)

    assert failure(outcome) == ("private_address", "127.0.0.1 is not a public address")
    assert not web.asked


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2:{port}/x", "http://[::1]:{port}/x", "http://2130706434:{port}/x"]
)
def test_a_redirect_to_a_private_address_is_refused(web: Web, target: str) -> None:
    port = web.address.rpartition(":")[2]
    web.routes["/in"] = Reply(status=302, headers=[("Location", target.format(port=port))])

    outcome = fetch_one(web, "/in", allowed_networks=("127.0.0.1/32",), respect_robots=False)

    assert failure(outcome)[0] == "private_address"
    assert web.asked["/x"] == 0


# Opt-outs -----------------------------------------------------------------------------------------


def test_robots_txt_is_kept_to_and_can_be_left_aside(web: Web) -> None:
    web.routes["/robots.txt"] = Reply(body=b"User-agent: *\nDisallow: /x")

    assert failure(fetch_one(web, "/x")) == ("robots_denied", "robots.txt disallows it")
    assert web.asked["/x"] == 0
    assert content(fetch_one(web, "/x", respect_robots=False)) == b"x"


def test_a_robots_txt_that_is_broken_for_the_moment_is_tried_again(web: Web) -> None:
    web.routes["/robots.txt"] = [Reply(status=503), Reply(body=b"User-agent: *\nAllow: /")]

    assert content(fetch_one(web, "/x")) == b"x"


def test_a_robots_txt_that_stays_broken_denies_everything(web: Web) -> None:
    web.routes["/robots.txt"] = Reply(status=503)

    assert failure(fetch_one(web, "/x")) == (
        "robots_denied",
        "robots.txt was answered with HTTP 503",
    )
    assert web.asked["/x"] == 0


def test_a_robots_txt_may_lie_behind_a_redirect_and_not_behind_a_loop(web: Web) -> None:
    web.routes["/robots.txt"] = Reply(status=301, headers=[("Location", "/rules")])
    web.routes["/rules"] = Reply(body=b"User-agent: *\nDisallow: /x")
    assert failure(fetch_one(web, "/x"))[0] == "robots_denied"

    web.routes["/rules"] = Reply(status=301, headers=[("Location", "/robots.txt")])
    assert content(fetch_one(web, "/x")) == b"x"


def test_a_robots_txt_is_read_as_far_as_it_must_be(web: Web) -> None:
    rules = b"User-agent: *\nDisallow: /x\n"
    web.routes["/robots.txt"] = Reply(body=rules + b"#" * 2_000_000)

    assert failure(fetch_one(web, "/x"))[0] == "robots_denied"


def test_a_crawl_delay_is_kept(web: Web) -> None:
    web.routes["/robots.txt"] = Reply(body=b"User-agent: *\nCrawl-delay: 0.5")
    web.routes["/y"] = Reply(body=b"y")

    fetch(web.download(), [f"{SITE}/x", f"{SITE}/y"])

    assert abs(web.times["/x"][0] - web.times["/y"][0]) >= 0.45


@pytest.mark.parametrize(
    "header",
    [("X-Robots-Tag", "openalign: noai"), ("TDM-Reservation", "1"), ("x-robots-tag", "noindex")],
)
def test_an_answer_that_is_withheld_is_not_taken(web: Web, header: tuple[str, str]) -> None:
    web.routes["/mine"] = Reply(body=b"mine", headers=[("X-Robots-Tag", "nofollow"), header])

    assert failure(fetch_one(web, "/mine"))[0] == "opted_out"
    assert content(fetch_one(web, "/mine", respect_opt_outs=False)) == b"mine"


def test_an_empty_answer_can_be_withheld(web: Web) -> None:
    web.routes["/mine"] = Reply(headers=[("X-Robots-Tag", "noai")])

    assert failure(fetch_one(web, "/mine")) == ("opted_out", "X-Robots-Tag: noai")


def test_a_redirect_can_be_withheld(web: Web) -> None:
    headers = [("Location", "/x"), ("X-Robots-Tag", "noai")]
    web.routes["/mine"] = Reply(status=302, headers=headers)

    assert failure(fetch_one(web, "/mine"))[0] == "opted_out"
    assert web.asked["/x"] == 0


# Bodies -------------------------------------------------------------------------------------------


def test_a_body_may_be_as_large_as_the_limit_and_no_larger(web: Web) -> None:
    web.routes["/full"] = Reply(body=b"." * MANY_BYTES)
    web.routes["/over"] = Reply(body=b"." * (MANY_BYTES + 1))

    assert len(content(fetch_one(web, "/full"))) == MANY_BYTES
    assert failure(fetch_one(web, "/over")) == ("too_large", "larger than 100000 bytes")
    assert web.asked["/over"] == 1


def test_a_small_body_that_unpacks_to_a_large_one_is_too_large(web: Web) -> None:
    bomb = gzip.compress(b"\0" * (50 * MANY_BYTES))
    assert len(bomb) < MANY_BYTES
    web.routes["/bomb"] = Reply(body=bomb, headers=[("Content-Encoding", "gzip")])

    assert failure(fetch_one(web, "/bomb")) == ("too_large", "larger than 100000 bytes")


def test_a_large_body_can_be_cut_instead(web: Web) -> None:
    web.routes["/long"] = Reply(body=b"0123456789" * MANY_BYTES)

    outcome = fetch_one(web, "/long", BodyRule(max_bytes=15, cut=True))

    assert content(outcome) == b"012345678901234"


def test_a_look_at_the_first_bytes_ends_a_transfer(web: Web) -> None:
    web.routes["/big"] = Reply(body=b"small picture" + b"." * 50_000_000)

    def look(head: Head, body: bytes) -> Glance | Refusal:
        assert head.status == 200
        if body.startswith(b"small"):
            return Refusal(state=FetchState.SHORT_SIDE, detail="too small")
        return Glance.TAKE

    outcome = fetch_one(web, "/big", BodyRule(max_bytes=100_000_000, look=look))

    assert failure(outcome) == ("short_side", "too small")
    assert isinstance(outcome, Failure)
    assert outcome.body.startswith(b"small picture")
    assert len(outcome.body) <= 256 * 1024


def test_a_look_is_asked_again_until_it_takes(web: Web) -> None:
    web.routes["/big"] = Reply(body=b"." * 3_000_000)
    lengths: list[int] = []

    def look(head: Head, body: bytes) -> Glance:
        lengths.append(len(body))
        return Glance.TAKE if len(body) > 1_000_000 else Glance.MORE

    outcome = fetch_one(web, "/big", BodyRule(max_bytes=4_000_000, look=look))

    assert len(content(outcome)) == 3_000_000
    assert all(b >= 2 * a for a, b in itertools.pairwise(lengths))
    assert lengths[-1] > 1_000_000 > lengths[-2]


def test_the_body_of_an_error_is_neither_judged_nor_kept(web: Web) -> None:
    web.routes["/sorry"] = Reply(status=404, body=b"." * 5_000_000)

    def look(head: Head, body: bytes) -> Glance:
        raise AssertionError

    outcome = fetch_one(web, "/sorry", BodyRule(max_bytes=10, look=look))

    assert failure(outcome) == ("http_gone", "HTTP 404")
    assert isinstance(outcome, Failure)
    assert outcome.body == b""


# Politeness ---------------------------------------------------------------------------------------


def test_a_host_has_so_many_connections_at_once(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(body=b"y", before_seconds=0.02) for n in range(30)}

    fetch(web.download(connections_per_host=3), [f"{SITE}/{n}" for n in range(30)])

    assert web.most_at_once == 3


def test_a_process_has_so_many_connections_at_once(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(body=b"y", before_seconds=0.02) for n in range(10)}
    urls = [f"{site}/{n}" for site in (SITE, OTHER, THIRD) for n in range(10)]

    fetch(web.download(connections=2), urls)

    assert web.most_at_once == 2


def test_a_host_is_not_asked_faster_than_its_rate(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(body=b"y") for n in range(10)}

    fetch(web.download(requests_per_second=10.0), [f"{SITE}/{n}" for n in range(10)])

    times = sorted(moment for moments in web.times.values() for moment in moments)
    assert len(times) == 11  # robots.txt counts as well
    assert times[-1] - times[0] >= 0.95
