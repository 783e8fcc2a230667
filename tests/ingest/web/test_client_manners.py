"""The fetcher as a guest: what it leaves alone, what it is told, and how often it asks."""

from collections.abc import Iterator

import pytest
from downloads import OTHER, THIRD, content, failure, fetch, fetch_one
from faulty_web import SITE, Reply, Web, serve

from openalign.ingest.web.outcomes import Failure
from openalign.ingest.web.rules import site_rules

TDMREP = "/.well-known/tdmrep.json"


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({"/x": Reply(body=b"x")}) as running:
        yield running


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


def test_training_that_robots_txt_reserves_is_an_opt_out(web: Web) -> None:
    web.routes["/robots.txt"] = Reply(body=b"User-agent: *\nContent-Signal: ai-train=no")

    assert failure(fetch_one(web, "/x")) == (
        "opted_out",
        "robots.txt: content-signal: ai-train=no",
    )
    assert web.asked["/x"] == 0
    web.routes["/x"] = Reply(body=b"x")
    assert content(fetch_one(web, "/x", respect_opt_outs=False)) == b"x"


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


@pytest.mark.parametrize("num_hops", [5, 6])
def test_a_robots_txt_may_be_five_redirects_away_on_other_hosts(web: Web, num_hops: int) -> None:
    hosts = [SITE, OTHER, THIRD, SITE, OTHER, THIRD]
    for number in range(num_hops):
        path = f"/hop{number}" if number else "/robots.txt"
        host = hosts[number].removeprefix("http://")
        to = f"{hosts[(number + 1) % 6]}/hop{number + 1}"
        web.routes[f"{host}{path}"] = Reply(status=307, headers=[("Location", to)])
    web.routes[f"/hop{num_hops}"] = Reply(body=b"User-agent: *\nDisallow: /x")

    outcome = fetch_one(web, "/x", max_redirects=0)

    # One that is further away counts as not there (RFC 9309 2.3.1.2).
    if num_hops == 5:
        assert failure(outcome) == ("robots_denied", "robots.txt disallows it")
    else:
        assert content(outcome) == b"x"


def test_a_robots_txt_that_expired_is_asked_for_again_before_what_waits(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_rules, "RULES_HOLD_SECONDS", 0.5)
    web.routes |= {f"/{n}": Reply(body=b"y") for n in range(12)}
    web.routes["/robots.txt"] = [
        Reply(body=b"User-agent: *\nDisallow: /0"),
        Reply(body=b"User-agent: *\nDisallow: /10\nDisallow: /11"),
    ]
    urls = [f"{SITE}/{n}" for n in range(12)]

    # At ten a second the turn of the last two comes after the first file expired.
    outcomes = fetch(web.download(requests_per_second=10.0, connections_per_host=1), urls)

    denied = [url for url in urls if isinstance(outcomes[url], Failure)]
    assert {failure(outcomes[url])[0] for url in denied} == {"robots_denied"}
    assert denied == [f"{SITE}/0", f"{SITE}/10", f"{SITE}/11"]
    assert web.asked["/robots.txt"] >= 2
    assert web.asked["/11"] == web.asked["/0"] == 0


def test_a_reservation_in_tdmrep_json_is_an_opt_out(web: Web) -> None:
    web.routes["/y"] = Reply(body=b"y")
    rules = b'[{"location": "/x", "tdm-reservation": 1}]'
    web.routes[TDMREP] = Reply(status=302, headers=[("Location", f"{OTHER}/rules")])
    web.routes["other.example/rules"] = Reply(body=rules)

    outcomes = fetch(web.download(ask_tdmrep=True), [f"{SITE}/x", f"{SITE}/y"])

    assert failure(outcomes[f"{SITE}/x"]) == ("opted_out", "tdmrep.json: tdm-reservation: 1")
    assert content(outcomes[f"{SITE}/y"]) == b"y"
    assert web.asked == {"/robots.txt": 1, TDMREP: 1, "/rules": 1, "/y": 1}
    assert content(fetch_one(web, "/x", ask_tdmrep=True, respect_opt_outs=False)) == b"x"


def test_each_hop_is_judged_by_the_tdmrep_json_of_its_own_host(web: Web) -> None:
    web.routes["/away"] = Reply(status=302, headers=[("Location", f"{OTHER}/x")])
    web.routes[f"other.example{TDMREP}"] = Reply(body=b'[{"location": "/", "tdm-reservation": 1}]')

    outcome = fetch_one(web, "/away", ask_tdmrep=True)

    assert failure(outcome) == ("opted_out", "tdmrep.json: tdm-reservation: 1")
    assert web.asked["/x"] == 0


@pytest.mark.parametrize("reply", [Reply(status=404), Reply(status=503), Reply(hang_up=True)])
def test_a_tdmrep_json_that_is_not_there_reserves_nothing(web: Web, reply: Reply) -> None:
    web.routes[TDMREP] = reply

    assert content(fetch_one(web, "/x", ask_tdmrep=True)) == b"x"


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


@pytest.mark.parametrize("name", ["HTTP/1.1 200 OK", "HTTP/boo"])
def test_a_header_that_looks_like_a_status_line_hides_no_opt_out(web: Web, name: str) -> None:
    web.routes["/mine"] = Reply(body=b"mine", headers=[("X-Robots-Tag", "noai"), (name, "")])

    assert failure(fetch_one(web, "/mine")) == ("opted_out", "X-Robots-Tag: noai")


def test_an_empty_answer_can_be_withheld(web: Web) -> None:
    web.routes["/mine"] = Reply(headers=[("X-Robots-Tag", "noai")])

    assert failure(fetch_one(web, "/mine")) == ("opted_out", "X-Robots-Tag: noai")


def test_a_redirect_can_be_withheld(web: Web) -> None:
    headers = [("Location", "/x"), ("X-Robots-Tag", "noai")]
    web.routes["/mine"] = Reply(status=302, headers=headers)

    assert failure(fetch_one(web, "/mine"))[0] == "opted_out"
    assert web.asked["/x"] == 0


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
