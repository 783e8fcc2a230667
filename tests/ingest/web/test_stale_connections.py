"""What an answer leaves of its connection: nothing of it is the next address's."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from downloads import content, failure, fetch
from faulty_web import SITE, Reply, Web, serve

from openalign.ingest.web.answers import BodyRule
from openalign.ingest.web.client import WebClient


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({}) as running:
        yield running


def test_what_an_answer_left_over_is_not_taken_for_the_next(web: Web) -> None:
    used: list[BaseHTTPRequestHandler] = []  # a handler serves one connection

    def goes_on(handler: BaseHTTPRequestHandler) -> Reply:
        if handler in used:
            handler.wfile.write(b"the rest of the image before, which is longer than it says\n")
        used.append(handler)
        return Reply(body=handler.path.encode())

    paths = [f"/{number}" for number in range(5)]
    web.routes |= dict.fromkeys(paths, goes_on)
    config = web.download(respect_robots=False, connections_per_host=1, num_retries=0)

    outcomes = fetch(config, [SITE + path for path in paths])

    assert [content(outcomes[SITE + path]).decode() for path in paths] == paths
    # All but the first meet what is left over, on a connection that is used again.
    assert sum(web.asked.values()) > len(paths)


def test_connections_that_ended_behind_their_answers_are_no_failure_of_the_next(web: Web) -> None:
    """libcurl itself tries five of them."""
    reply = Reply(body=b"x", once_a_connection=True, before_seconds=0.3)
    web.routes |= {f"/{number}": reply for number in range(9)}
    *at_once, last = (f"{SITE}/{number}" for number in range(9))
    config = web.download(respect_robots=False, connections_per_host=8, num_retries=0)

    with WebClient(config, accept="*/*", body=BodyRule(max_bytes=10)) as client:
        assert [content(outcome) for outcome in client.ask(at_once)] == [b"x"] * 8
        (outcome,) = client.ask([last])

    assert content(outcome) == b"x"
    assert web.asked["/8"] > 2, "on connections that were used, and on one of its own"


def test_on_a_connection_of_its_own_it_is_asked_once_more_and_no_more(web: Web) -> None:
    def never_http(handler: BaseHTTPRequestHandler) -> Reply:
        handler.wfile.write(b"no answer of HTTP begins like this\n")
        return Reply(body=b"x")

    web.routes |= {"/well": Reply(body=b"x"), "/odd": never_http}
    config = web.download(respect_robots=False, connections_per_host=1)

    outcomes = fetch(config, [f"{SITE}/well", f"{SITE}/odd"])

    assert failure(outcomes[f"{SITE}/odd"]) == ("connect_failure", "the answer is not HTTP")
    assert web.asked["/odd"] == 2
