"""Archives on a web server that slows down, breaks off and forgets."""

import re
import time
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faulty_web import Reply, Route, serve
from local_ports import free_port

from openalign.errors import InputError
from openalign.hostile_web.certificates import Certificate, Certificates
from openalign.ingest.sources.archives import http_stream
from openalign.ingest.sources.archives.http_stream import HttpManners, HttpReader
from openalign.ingest.sources.archives.tape import ArchiveError

CONTENT = bytes(range(256)) * 2000
ETAG = '"1"'


def manners(**changes: Any) -> HttpManners:
    settings: dict[str, Any] = {
        "contact": "me@example.org",
        "requests_per_second": 1000.0,
        "num_retries": 3,
        "retry_seconds": 0.01,
        "max_retry_seconds": 1.0,
        "silence_seconds": 10.0,
    }
    return HttpManners(**(settings | changes))


def read(url: str, reader: HttpReader | None = None) -> bytes:
    stream = (reader or HttpReader(manners())).open(url)
    try:
        return b"".join(iter(lambda: stream.read(5000), b""))
    finally:
        stream.close()


def problem(url: str, reader: HttpReader | None = None) -> str:
    with pytest.raises(ArchiveError) as caught:
        read(url, reader)
    return str(caught.value)


def part(breaks_at: int = len(CONTENT), *, knows_ranges: bool = True, etag: str = ETAG) -> Route:
    """Return a route that sends at most so many bytes of the archive at a time, then hangs up."""

    def reply(handler: BaseHTTPRequestHandler) -> Reply:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(asked[1]) if asked and knows_ranges else 0
        headers = [("ETag", etag)] if etag else []
        if asked and knows_ranges:
            headers.append(("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"))
        return Reply(
            status=206 if asked and knows_ranges else 200,
            body=CONTENT[start : start + breaks_at],
            length=len(CONTENT) - start,
            headers=headers,
        )

    return reply


def in_turn(*routes: Route) -> Callable[[BaseHTTPRequestHandler], Reply]:
    """Return a route that answers each time by another one."""
    left = list(routes)

    def reply(handler: BaseHTTPRequestHandler) -> Reply:
        route = left.pop(0) if len(left) > 1 else left[0]
        assert not isinstance(route, list)
        return route if isinstance(route, Reply) else route(handler)

    return reply


def test_an_archive_is_read_as_it_lies_there() -> None:
    with serve({"/a": part()}) as web:
        assert read(f"http://{web.address}/a") == CONTENT
        assert web.asked == {"/a": 1}
        [agent] = web.agents
    assert re.fullmatch(r"OpenALIGN/\S+ \(\+me@example.org\)", agent)


def test_a_reading_goes_on_where_its_connection_broke() -> None:
    ranges: list[str] = []

    def noted(handler: BaseHTTPRequestHandler) -> Reply:
        ranges.append(handler.headers.get("Range", ""))
        reply = part(200_000)
        assert callable(reply)
        return reply(handler)

    with serve({"/a": noted}) as web:
        assert read(f"http://{web.address}/a") == CONTENT
    assert ranges == ["", "bytes=200000-", "bytes=400000-"]


def test_a_server_that_knows_no_ranges_is_read_from_its_beginning() -> None:
    flaky = in_turn(part(300_000, knows_ranges=False), part(knows_ranges=False))
    with serve({"/a": flaky}) as web:
        assert read(f"http://{web.address}/a") == CONTENT


def test_an_archive_that_was_replaced_meanwhile_is_not_put_together() -> None:
    with serve({"/a": in_turn(part(300_000), part(etag='"2"'))}) as web:
        assert problem(f"http://{web.address}/a") == "the server has another archive by now"


@pytest.mark.parametrize("status", [403, 429, 500, 502, 503, 504])
def test_an_answer_that_can_heal_is_asked_for_again(status: int) -> None:
    with serve({"/a": in_turn(Reply(status=status), Reply(status=status), part())}) as web:
        assert read(f"http://{web.address}/a") == CONTENT
        assert web.asked == {"/a": 3}


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_an_answer_that_cannot_heal_is_taken_at_its_word(status: int) -> None:
    with serve({"/a": Reply(status=status)}) as web:
        assert problem(f"http://{web.address}/a") == f"the server answers {status}"
        assert web.asked == {"/a": 1}


def test_after_as_many_attempts_as_are_set_the_archive_is_given_up() -> None:
    with serve({"/a": Reply(status=503)}) as web:
        assert problem(f"http://{web.address}/a") == "the server answers 503"
        assert web.asked == {"/a": 4}


def test_attempts_are_counted_from_the_last_byte_on() -> None:
    lost = Reply(status=503)
    step = [lost, lost, part(100_000)]
    with serve({"/a": in_turn(*step, *step, *step, part())}) as web:
        assert read(f"http://{web.address}/a") == CONTENT


def test_a_connection_that_always_breaks_is_given_up() -> None:
    with serve({"/a": Reply(hang_up=True)}) as web:
        assert problem(f"http://{web.address}/a").startswith("the connection broke")
        assert web.asked == {"/a": 4}


def test_an_error_names_no_port() -> None:
    port = free_port()

    said = problem(f"http://127.0.0.1:{port}/a", HttpReader(manners(num_retries=0)))

    assert said == "the server cannot be reached"


@pytest.mark.parametrize("header", ["1", "date"])
def test_retry_after_is_waited_for(header: str) -> None:
    def busy(_: BaseHTTPRequestHandler) -> Reply:
        value = "1" if header == "1" else formatdate(time.time() + 2, usegmt=True)
        return Reply(status=503, headers=[("Retry-After", value)])

    with serve({"/a": in_turn(busy, part())}) as web:
        read(f"http://{web.address}/a", HttpReader(manners(max_retry_seconds=5.0)))
        first, second = web.times["/a"]

    assert second - first > 0.9


@pytest.mark.parametrize(
    "value", ["\xb2", "9" * 5000, "soon", "-1", "Wed, 99 Nov 2026 00:00:00 GMT"]
)
def test_headers_that_say_nothing_are_passed_over(value: str) -> None:
    busy = Reply(status=503, headers=[("Retry-After", value)])
    # A client can only read on to the end.
    odd = Reply(body=CONTENT, headers=[("Content-Length", value), ("Connection", "close")])
    with serve({"/a": in_turn(busy, part()), "/b": lambda _: odd}) as web:
        assert read(f"http://{web.address}/a") == CONTENT
        if value[0].isascii():
            assert read(f"http://{web.address}/b") == CONTENT


@pytest.mark.parametrize(
    "url", ["http://[a/x.warc.gz", "http://a.example:x/", "http://a.example/\xe9 "]
)
def test_an_address_that_is_none_costs_itself(url: str) -> None:
    assert problem(url) == "its address cannot be asked for"


def test_many_attempts_wait_no_longer_than_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)

    HttpReader(manners(num_retries=9999)).wait("a.example", 5000, 0.0, "")

    assert waited == [manners().max_retry_seconds]


def test_a_host_that_asks_for_a_long_pause_is_not_asked_again() -> None:
    busy = Reply(status=503, headers=[("Retry-After", "3600")])
    reader = HttpReader(manners())
    with serve({"/a": busy, "/b": part()}) as web:
        reasons = {problem(f"http://{web.address}/{name}", reader) for name in ("a", "b")}
        assert web.asked == {"/a": 1}

    assert reasons == {"the server answers 503, and the server asks to wait 3600 s"}


def test_requests_keep_their_pace_across_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    # A clock that stands still: each request but the first is due a fifth of a second later.
    clock = SimpleNamespace(monotonic=lambda: 100.0, sleep=pauses.append)
    monkeypatch.setattr(http_stream, "time", clock)
    reader = HttpReader(manners(requests_per_second=5.0))

    with serve({f"/{n}": part() for n in range(4)}) as web:
        for n in range(4):
            read(f"http://{web.address}/{n}", reader)

    assert pauses == pytest.approx([0.2, 0.2, 0.2])


# Proxies and certificates -------------------------------------------------------------------------

FAR = "http://far.example/a"


def test_an_archive_is_asked_for_through_the_proxy_of_the_settings() -> None:
    with serve({FAR: Reply(body=CONTENT)}) as proxy:
        reader = HttpReader(manners(proxy=f"http://user:secret@{proxy.address}"))

        assert read(FAR, reader) == CONTENT
        assert proxy.asked == {FAR: 1}


def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    with serve({"/a": Reply(body=CONTENT)}) as web:
        assert read(f"http://{web.address}/a") == CONTENT


def test_a_proxy_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"http proxies only, got socks5h://proxy\.example:1080"):
        read(FAR, HttpReader(manners(proxy="socks5h://proxy.example:1080")))


@pytest.mark.parametrize("named_by", ["setting", "environment"])
def test_certificates_are_those_of_the_settings_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named_by: str
) -> None:
    certificates = Certificates(["localhost"])
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(certificates.pem)
    tls = certificates.server_context(lambda _: Certificate.GOOD)
    with serve({"/a": Reply(body=CONTENT)}, tls=tls) as web:
        url = f"https://localhost:{web.address.rpartition(':')[2]}/a"
        assert problem(url, HttpReader(manners(num_retries=0))).startswith("the connection broke")

        if named_by == "environment":
            monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
            monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
        trusted = str(ca_file) if named_by == "setting" else ""
        assert read(url, HttpReader(manners(ca_file=trusted))) == CONTENT


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")

    with pytest.raises(InputError, match=r"ca\.pem: holds no certificates"):
        read(FAR, HttpReader(manners(ca_file=str(tmp_path / "ca.pem"))))
