"""How img2dataset's urllib asks: the driver's opener, in this environment and without img2dataset.

The messages are those of the exceptions, as img2dataset hands them on.
"""

import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import msgspec
import pytest
from faulty_web import HOST, SITE, Reply, Web, serve

from openalign.files.states import FetchState
from openalign.ingest.config import FetchConfig
from openalign.ingest.fetching.img2dataset import driver
from openalign.ingest.fetching.img2dataset.messages import refusal_of
from openalign.ingest.fetching.img2dataset.process import settings_for
from openalign.ingest.web import addresses

AGENT = "Mozilla/5.0 Firefox/72.0"


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({"/image": Reply(body=b"x" * 100, headers=[("X-One", "1"), ("X-One", "2")])}) as web:
        yield web


class Asking:
    """Asks as img2dataset does, through the driver's opener."""

    def __init__(self, web: Web, *, max_bytes: int = 1000, **changes: Any) -> None:
        config = FetchConfig(web=web.download(**changes), max_bytes=max_bytes)
        settings = msgspec.to_builtins(settings_for(config))
        self.connections = driver.DialedConnections(settings, addresses)
        self.answers = driver.Answers(settings["user_agent"])
        self._opener = driver.opener_for(settings, self.connections, self.answers)

    def body(self, url: str) -> bytes:
        with self._opener.open(Request(url, headers={"User-Agent": AGENT}), timeout=60) as answer:
            return answer.read()

    def refusal(self, url: str) -> tuple[str, str]:
        with pytest.raises((OSError, HTTPException)) as raised:
            self.body(url)
        if isinstance(raised.value, HTTPError):
            raised.value.close()
        refusal = refusal_of(str(raised.value))
        return refusal.state, refusal.detail


def test_a_host_is_told_who_asks_and_its_answer_is_kept(web: Web) -> None:
    asking = Asking(web)

    assert asking.body(f"{SITE}/image") == b"x" * 100
    head = asking.answers.heads[f"{SITE}/image"]
    assert web.agents == {"OpenALIGN/0.1.0 (+test@example.org)"}
    assert (head["url"], head["status"]) == (f"{SITE}/image", 200)
    assert [value for name, value in head["headers"] if name == "x-one"] == ["1", "2"]
    assert asking.connections.tried == {HOST: "127.0.0.1"}


def test_the_head_of_a_redirect_s_end_is_kept_under_what_was_asked_for(web: Web) -> None:
    web.routes["/from"] = Reply(status=302, headers=[("Location", "/image")])
    asking = Asking(web)

    assert len(asking.body(f"{SITE}/from")) == 100
    assert asking.answers.heads[f"{SITE}/from"]["url"] == f"{SITE}/image"


def test_an_attempt_without_an_answer_has_not_the_head_of_the_one_before(web: Web) -> None:
    web.routes["/twice"] = [Reply(status=503), Reply(hang_up=True)]
    asking = Asking(web)

    assert asking.refusal(f"{SITE}/twice")[0] == FetchState.HTTP_SERVER_ERROR
    assert asking.answers.heads[f"{SITE}/twice"]["status"] == 503
    assert asking.refusal(f"{SITE}/twice")[0] == FetchState.CONNECT_FAILURE
    assert f"{SITE}/twice" not in asking.answers.heads


def test_a_body_is_read_to_a_byte_above_its_limit(web: Web) -> None:
    assert len(Asking(web, max_bytes=100).body(f"{SITE}/image")) == 100
    assert len(Asking(web, max_bytes=50).body(f"{SITE}/image")) == 51


def redirect(where: str) -> Reply:
    return Reply(status=302, headers=[("Location", where)])


@pytest.mark.parametrize(
    ("reply", "state", "detail"),
    [
        pytest.param(Reply(status=404), "http_gone", "HTTP 404", id="gone"),
        pytest.param(Reply(status=503), "http_server_error", "HTTP 503", id="out of order"),
        pytest.param(
            Reply(hang_up=True), "connect_failure", "the server sent nothing", id="hangs up"
        ),
        pytest.param(
            Reply(body=b"x", length=99), "truncated", "the body ended early", id="a short body"
        ),
        pytest.param(
            Reply(body=b"x" * 30, a_byte_a_second=True), "timeout", "too slow", id="a byte a second"
        ),
        pytest.param(
            redirect("http://10.0.0.1/x"),
            "private_address",
            "10.0.0.1 is not a public address",
            id="to a private address",
        ),
        pytest.param(
            redirect("http://[::1]/x"),
            "private_address",
            "::1 is not a public address",
            id="to IPv6 of this machine",
        ),
        pytest.param(
            redirect(f"{SITE}:22/x"), "bad_url", "its port belongs to another service", id="to ssh"
        ),
        pytest.param(
            Reply(headers=[("X-Long", "x" * 70_000)]),
            "header_too_large",
            "its header is too long",
            id="a long header",
        ),
        pytest.param(
            redirect("/reply"), "too_many_redirects", "too many redirects, or a loop", id="a loop"
        ),
        pytest.param(
            redirect("file:///etc/hostname"),
            "bad_url",
            "HTTP 302 leads to no http URL",
            id="a file",
        ),
        pytest.param(redirect("ftp://ftp.example/x"), "bad_url", "not a URL", id="ftp"),
    ],
)
def test_a_failure_s_message_has_its_state(web: Web, reply: Reply, state: str, detail: str) -> None:
    web.routes["/reply"] = reply
    asking = Asking(web, first_byte_seconds=2.0, total_seconds=3.0)

    assert asking.refusal(f"{SITE}/reply") == (state, detail)


def test_a_first_byte_has_a_deadline_of_its_own(web: Web) -> None:
    web.routes["/late"] = Reply(before_seconds=3, body=b"late")

    assert Asking(web, first_byte_seconds=60.0).body(f"{SITE}/late") == b"late"
    asking = Asking(web, first_byte_seconds=1.0, total_seconds=60.0)
    assert asking.refusal(f"{SITE}/late") == (FetchState.TIMEOUT, "too slow")


def test_tls_that_is_none_is_a_failure_of_tls(web: Web) -> None:
    refusal = Asking(web).refusal(f"https://{HOST}/image")

    assert refusal == (FetchState.TLS_FAILURE, "TLS could not be set up")


def test_this_machine_is_refused_unless_it_is_allowed(web: Web) -> None:
    asking = Asking(web, allowed_networks=())

    assert asking.refusal(f"{SITE}/image")[0] == FetchState.PRIVATE_ADDRESS
    assert asking.refusal(f"http://{web.address}/image")[0] == FetchState.PRIVATE_ADDRESS
    assert not web.asked


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_as_many_redirects_are_followed_as_are_allowed(web: Web, limit: int) -> None:
    web.routes |= {"/0": redirect("/image"), "/1": redirect("/0"), "/2": redirect("/1")}
    asking = Asking(web, max_redirects=limit)

    assert asking.refusal(f"{SITE}/{limit}")[0] == FetchState.TOO_MANY_REDIRECTS
    assert limit == 0 or len(asking.body(f"{SITE}/{limit - 1}")) == 100


@pytest.mark.parametrize("file", [driver.__file__, addresses.__file__], ids=["driver", "addresses"])
def test_it_runs_where_nothing_is_installed(file: str) -> None:
    code = f"import runpy; runpy.run_path({str(Path(file).absolute())!r}, run_name='alone')"

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
