"""Which files are asked for before a URL, how long they hold, and what they refuse together."""

from typing import Any

import pytest

from openalign.files.states import FetchState
from openalign.ingest.web.answers import Head, Refusal
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.outcomes import refusal_of_status
from openalign.ingest.web.site_rules import RULES_HOLD_SECONDS, SiteRules

SITE = "http://site.example"
ROBOTS = f"{SITE}/robots.txt"
TDMREP = f"{SITE}/.well-known/tdmrep.json"
URL = f"{SITE}/art/x.jpg"
DAY = 24 * 3600.0
RESERVED = b'[{"location": "/art/", "tdm-reservation": 1}]'


def answer(rules: SiteRules, file: str, body: bytes, *, now: float = 0.0) -> None:
    rules.learn_answer(file, Head(url=file, status=200, headers=[]), body, now=now)


def fail(rules: SiteRules, file: str, status: int, *, now: float = 0.0) -> None:
    head = Head(url=file, status=status, headers=[])
    rules.learn_failure(file, refusal_of_status(status), head, now=now)


def test_robots_txt_is_asked_for_first_then_tdmrep_json() -> None:
    rules = SiteRules(WebConfig())

    assert rules.file_before(URL, 0.0) == ROBOTS
    answer(rules, ROBOTS, b"")
    assert rules.file_before(URL, 0.0) == TDMREP
    answer(rules, TDMREP, RESERVED)

    assert rules.file_before(URL, 0.0) is None
    assert rules.refusal_of(URL) == Refusal(
        state=FetchState.OPTED_OUT, detail="tdmrep.json: tdm-reservation: 1"
    )
    assert rules.refusal_of(f"{SITE}/x.jpg") is None
    assert rules.file_before("https://site.example/x", 0.0) == "https://site.example/robots.txt"


@pytest.mark.parametrize(
    ("robots", "refused"),
    [
        pytest.param(b"User-agent: *\nDisallow: /art/", "robots_denied", id="the URL is denied"),
        pytest.param(
            b"User-agent: *\nContent-Usage: train-ai=n", "opted_out", id="the URL is reserved"
        ),
        pytest.param(b"User-agent: *\nDisallow: /.well-known/", None, id="the file is denied"),
    ],
)
def test_tdmrep_json_is_not_asked_for_where_robots_txt_has_decided(
    robots: bytes, refused: str | None
) -> None:
    rules = SiteRules(WebConfig())
    answer(rules, ROBOTS, robots)

    assert rules.file_before(URL, 0.0) is None
    refusal = rules.refusal_of(URL)
    assert (refusal.state if refusal else None) == refused


@pytest.mark.parametrize(
    ("settings", "files"),
    [
        pytest.param({}, [ROBOTS, TDMREP], id="defaults"),
        pytest.param({"ask_tdmrep": False}, [ROBOTS], id="without tdmrep.json"),
        pytest.param({"respect_opt_outs": False}, [ROBOTS], id="without opt-outs"),
        pytest.param({"respect_robots": False}, [TDMREP], id="without robots.txt"),
        pytest.param({"respect_robots": False, "ask_tdmrep": False}, [], id="without either"),
    ],
)
def test_settings_say_which_files_are_asked_for(settings: dict[str, Any], files: list[str]) -> None:
    rules = SiteRules(WebConfig(**settings))
    asked: list[str] = []

    while (file := rules.file_before(URL, 0.0)) is not None:
        asked.append(file)
        fail(rules, file, 404)

    assert asked == files
    assert rules.refusal_of(URL) is None
    assert rules.hold_until(URL) == (DAY if files else float("inf"))


def test_a_file_holds_for_a_day() -> None:
    rules = SiteRules(WebConfig())
    answer(rules, ROBOTS, b"User-agent: *\nDisallow: /y", now=100.0)
    answer(rules, TDMREP, b"[]", now=200.0)

    assert RULES_HOLD_SECONDS == DAY
    assert rules.hold_until(URL) == 100.0 + DAY
    assert rules.file_before(URL, 99.0 + DAY) is None
    assert rules.file_before(URL, 100.0 + DAY) == ROBOTS
    answer(rules, ROBOTS, b"User-agent: *\nDisallow: /art/", now=100.0 + DAY)
    assert rules.file_before(URL, 100.0 + DAY) is None  # and what is denied needs no other file
    assert rules.file_before(f"{SITE}/y", 200.0 + DAY) == TDMREP
    assert rules.refusal_of(URL) is not None


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_robots_txt_out_of_reach_still_says_what_it_said(status: int) -> None:
    rules = SiteRules(WebConfig())
    answer(rules, ROBOTS, b"User-agent: *\nDisallow: /art/")

    fail(rules, ROBOTS, status, now=DAY)
    rules.learn_failure(
        ROBOTS, Refusal(state=FetchState.TIMEOUT, detail="too slow"), None, now=2 * DAY
    )

    assert rules.file_before(URL, 3 * DAY - 1) is None
    assert rules.file_before(URL, 3 * DAY) == ROBOTS
    assert rules.refusal_of(f"{SITE}/x") is None
    assert rules.refusal_of(URL) == Refusal(
        state=FetchState.ROBOTS_DENIED, detail="robots.txt disallows it"
    )


def test_a_robots_txt_that_is_gone_allows_everything_again() -> None:
    rules = SiteRules(WebConfig(ask_tdmrep=False))
    answer(rules, ROBOTS, b"User-agent: *\nDisallow: /art/")

    fail(rules, ROBOTS, 404, now=DAY)

    assert rules.refusal_of(URL) is None


def test_a_robots_txt_that_was_never_reached_denies_everything_until_it_is() -> None:
    rules = SiteRules(WebConfig(ask_tdmrep=False))
    fail(rules, ROBOTS, 503)
    assert rules.refusal_of(URL) == Refusal(
        state=FetchState.ROBOTS_DENIED, detail="robots.txt was answered with HTTP 503"
    )

    fail(rules, ROBOTS, 500, now=DAY)
    refusal = rules.refusal_of(URL)
    assert refusal is not None
    assert refusal.detail == "robots.txt was answered with HTTP 500"

    answer(rules, ROBOTS, b"", now=2 * DAY)
    assert rules.refusal_of(URL) is None


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_a_tdmrep_json_that_is_not_there_reserves_nothing(status: int) -> None:
    rules = SiteRules(WebConfig())
    answer(rules, ROBOTS, b"")
    answer(rules, TDMREP, RESERVED)

    fail(rules, TDMREP, status, now=DAY)

    assert rules.refusal_of(URL) is None
