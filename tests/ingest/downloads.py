"""What the tests of the fetcher share: fetch from a small web, and read what came of it."""

from collections.abc import Sequence
from typing import Any

from faulty_web import SITE, Web

from openalign.ingest.web.answers import BodyRule
from openalign.ingest.web.client import WebClient
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.outcomes import Failure, Outcome, Response

MANY_BYTES = 100_000
BODY = BodyRule(max_bytes=MANY_BYTES)
OTHER = "http://other.example"
THIRD = "http://third.example"


def fetch(config: WebConfig, urls: Sequence[str], body: BodyRule = BODY) -> dict[str, Outcome]:
    with WebClient(config, accept="*/*", body=body) as client:
        outcomes = list(client.ask(urls))
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
