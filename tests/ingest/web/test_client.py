"""The fetcher against real servers: what comes back of an address and its redirects."""

import gzip
import itertools
import random
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from downloads import BODY, MANY_BYTES, OTHER, THIRD, content, failure, fetch, fetch_one
from faulty_web import SITE, Reply, Web, serve

from openalign.files.states import FetchState
from openalign.ingest.web.answers import BodyRule, Glance, Head, Refusal
from openalign.ingest.web.client import WebClient
from openalign.ingest.web.outcomes import Failure, Response


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({"/x": Reply(body=b"x")}) as running:
        yield running


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


@pytest.mark.parametrize(
    "name",
    ["UTF-8", "none", "binary", "image/jpeg", "aws-chunked", "gzip", "deflate", "br", "zstd", ""],
)
def test_a_body_is_not_lost_to_an_encoding_that_it_does_not_have(web: Web, name: str) -> None:
    body = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 300
    web.routes["/x"] = Reply(body=body, headers=[("Content-Encoding", name)])

    assert content(fetch_one(web, "/x")) == body


def test_encodings_may_stand_in_several_headers(web: Web) -> None:
    packed = gzip.compress(zlib.compress(b"hello"))
    headers = [("Content-Encoding", "deflate"), ("Content-Encoding", "gzip")]
    web.routes["/x"] = Reply(body=packed, headers=headers)

    assert content(fetch_one(web, "/x")) == b"hello"


def test_a_body_whose_encoding_breaks_is_truncated_and_none_of_it_is_kept(web: Web) -> None:
    noise = random.Random(1).randbytes(50_000)
    packed = gzip.compress(noise.hex().encode())
    broken = packed[: len(packed) // 2] + noise
    web.routes["/x"] = Reply(body=broken, headers=[("Content-Encoding", "gzip")])

    outcome = fetch_one(web, "/x")

    assert failure(outcome) == ("truncated", "its encoding is broken")
    assert isinstance(outcome, Failure)
    assert outcome.body == b""
    assert web.asked["/x"] == 1


def test_a_look_sees_a_body_without_its_encoding(web: Web) -> None:
    packed = gzip.compress(b"small image" + b"." * 50_000)
    web.routes["/x"] = Reply(body=packed, headers=[("Content-Encoding", "gzip")])

    def look(head: Head, body: bytes) -> Glance:
        assert body.startswith(b"small image")
        return Glance.TAKE

    outcome = fetch_one(web, "/x", BodyRule(max_bytes=100_000, look=look))

    assert content(outcome) == b"small image" + b"." * 50_000


def test_many_addresses_of_many_hosts_end_once_each(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(body=str(n).encode()) for n in range(200)}
    urls = [f"{site}/{n}" for site in (SITE, OTHER, THIRD) for n in range(200)]

    outcomes = fetch(web.download(), urls)

    assert {url: content(outcomes[url]) for url in urls} == {
        url: url.rpartition("/")[2].encode() for url in urls
    }
    assert web.asked["/robots.txt"] == 3


def test_a_client_asks_for_robots_txt_once_and_can_be_used_again(web: Web) -> None:
    with WebClient(web.download(), accept="*/*", body=BODY) as client:
        asked_twice = [*client.ask([f"{SITE}/x"]), *client.ask([f"{SITE}/x"])]

    bodies = [response.body for response in asked_twice if isinstance(response, Response)]
    assert bodies == [b"x", b"x"]
    assert web.asked == {"/robots.txt": 1, "/x": 2}


def test_a_caller_may_stop_in_the_middle(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(body=b"y") for n in range(50)}
    with WebClient(web.download(), accept="*/*", body=BODY) as client:
        for _ in client.ask([f"{SITE}/{n}" for n in range(50)]):
            break

        assert [content(outcome) for outcome in client.ask([f"{SITE}/x"])] == [b"x"]


@pytest.mark.parametrize("name", ["HTTP/1.1 404 Not", "HTTP/boo"])
def test_a_header_that_looks_like_a_status_line_is_a_header(web: Web, name: str) -> None:
    web.routes["/x"] = Reply(body=b"x", headers=[("X-Before", "1"), (name, "Found")])

    response = fetch_one(web, "/x")

    assert content(response) == b"x"
    assert response.head is not None
    assert (response.head.status, response.head.header("x-before")) == (200, "1")
    assert response.head.header(name.lower()) == "Found"


def test_an_interim_answer_is_forgotten(web: Web) -> None:
    def early(handler: BaseHTTPRequestHandler) -> Reply:
        handler.send_response_only(103)
        handler.send_header("X-Early", "1")
        handler.end_headers()
        return Reply(body=b"x", headers=[("X-Late", "1")])

    web.routes["/x"] = early

    response = fetch_one(web, "/x")

    assert content(response) == b"x"
    assert response.head is not None
    assert response.head.status == 200
    assert (response.head.header("x-early"), response.head.header("x-late")) == (None, "1")


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


@pytest.mark.parametrize(
    ("location", "path"),
    [
        pytest.param("/b\u00fccher".encode(), "/b%C3%BCcher", id="UTF-8"),
        pytest.param("/b\u00fccher".encode("latin-1"), "/b%FCcher", id="Latin-1"),
        pytest.param(b"/b%C3%BCcher", "/b%C3%BCcher", id="escaped"),
        pytest.param("/voil\u00e0".encode(), "/voil%C3%A0", id="UTF-8 that ends in A0"),
        pytest.param("/\u0432\u0435\u0440\u0445".encode(), "/%D0%B2%D0%B5%D1%80%D1%85", id="in 85"),
        pytest.param(b" \t/tabs\t ", "/tabs", id="blanks around"),
        pytest.param("//\u00fc.example/\u6e2f".encode(), "/%E6%B8%AF", id="host and path"),
        pytest.param("/a b?q=\u00fc".encode(), "/a%20b?q=%C3%BC", id="query"),
    ],
)
def test_a_location_is_escaped_as_browsers_do(web: Web, location: bytes, path: str) -> None:
    web.routes["/old"] = Reply(status=302, headers=[("Location", location.decode("latin-1"))])
    web.routes[path] = Reply(body=b"there")
    connect_to = dict.fromkeys(("pictures.example", "xn--tda.example"), web.address)

    assert content(fetch_one(web, "/old", connect_to=connect_to)) == b"there"
    assert web.asked[path] == 1


def test_bytes_that_are_no_text_lead_to_no_host(web: Web) -> None:
    web.routes["/old"] = Reply(status=302, headers=[("Location", "http://\xfc.example/")])

    assert failure(fetch_one(web, "/old")) == ("bad_url", "HTTP 302 leads to no http URL")


@pytest.mark.parametrize("target", [f"{SITE}:22/x", "http://[::1]:6000/", "https://h.example:25/"])
def test_a_redirect_to_the_port_of_another_service_is_not_followed(web: Web, target: str) -> None:
    web.routes["/old"] = Reply(status=302, headers=[("Location", target)])

    outcome = fetch_one(web, "/old")

    assert failure(outcome) == ("bad_url", "its port belongs to another service")
    assert outcome.head is not None
    assert outcome.head.status == 302


def test_an_address_with_the_port_of_another_service_is_not_asked(web: Web) -> None:
    url = f"{SITE}:22/x"

    assert failure(fetch(web.download(), [url])[url])[0] == "bad_url"
    assert not web.asked


def test_a_robots_txt_behind_the_port_of_another_service_allows_everything(web: Web) -> None:
    headers = [("Location", f"{SITE}:22/robots.txt")]
    web.routes["/robots.txt"] = Reply(status=302, headers=headers)

    assert content(fetch_one(web, "/x")) == b"x"


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ([], "has no Location"),
        ([("Location", "")], "has no Location"),
        ([("Location", "ftp://h/x")], "leads to no http URL"),
        ([("Location", "data:image/gif;base64,R0lGODlh")], "leads to no http URL"),
        ([("Location", "http://other.example:65536/x")], "leads to no http URL"),
        ([("Location", "http://[fe80::1%25eth0]/x")], "leads to no http URL"),
        ([("Location", "/" + "x" * 4096)], "leads to no http URL"),
    ],
)
def test_a_redirect_to_nowhere_is_a_bad_url(
    web: Web, headers: list[tuple[str, str]], why: str
) -> None:
    web.routes["/old"] = Reply(status=302, headers=headers)

    assert failure(fetch_one(web, "/old")) == ("bad_url", f"HTTP 302 {why}")


def test_each_hop_is_judged_by_the_robots_txt_of_its_own_host(web: Web) -> None:
    web.routes["other.example/robots.txt"] = Reply(body=b"User-agent: *\nDisallow: /secret")
    web.routes["/to-secret"] = Reply(status=302, headers=[("Location", f"{OTHER}/secret")])
    web.routes["/to-open"] = Reply(status=302, headers=[("Location", f"{OTHER}/x")])

    denied = fetch_one(web, "/to-secret")
    assert failure(denied) == ("robots_denied", "robots.txt disallows it")
    assert denied.head is not None
    assert (denied.head.url, denied.head.status) == (f"{SITE}/to-secret", 302)
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

    client = WebClient(web.download(), accept="*/*", body=BODY, judge_redirect=judge)
    with client:
        outcomes = {o.url: o for o in client.ask([f"{SITE}/away", f"{SITE}/here"])}

    assert failure(outcomes[f"{SITE}/away"]) == ("opted_out", "not there")
    assert content(outcomes[f"{SITE}/here"]) == b"x"
    assert sorted(asked) == [(f"{SITE}/away", f"{OTHER}/x"), (f"{SITE}/here", f"{SITE}/x")]


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
    web.routes["/big"] = Reply(body=b"small image" + b"." * 50_000_000)

    def look(head: Head, body: bytes) -> Glance | Refusal:
        assert head.status == 200
        if body.startswith(b"small"):
            return Refusal(state=FetchState.SHORT_SIDE, detail="too small")
        return Glance.TAKE

    outcome = fetch_one(web, "/big", BodyRule(max_bytes=100_000_000, look=look))

    assert failure(outcome) == ("short_side", "too small")
    assert isinstance(outcome, Failure)
    assert outcome.body.startswith(b"small image")
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


def test_no_request_starts_while_too_much_is_in_memory(web: Web) -> None:
    # The second of two requests is due after half a second; the first has its body after one.
    web.routes["/slow"] = Reply(body=b"ab", a_byte_a_second=True)
    config = web.download(requests_per_second=2.0, respect_robots=False)

    with WebClient(config, accept="*/*", body=BODY, max_held_bytes=0) as client:
        outcomes = list(client.ask([f"{SITE}/slow", f"{SITE}/x"]))

    assert [content(outcome) for outcome in outcomes] == [b"ab", b"x"]
