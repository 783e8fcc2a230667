"""The client when this machine is at fault: it ends with an error, and blames no host."""

import errno
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pycurl
import pytest
from downloads import BODY, content, failure, fetch, fetch_one
from faulty_web import HOST, SITE, Reply, Web, serve
from local_ports import free_port
from name_server import SERVFAIL, NameReply, NameServer, name_server
from patience import PATIENCE_SECONDS

from openalign.errors import StageError
from openalign.ingest.web.client import WebClient
from openalign.ingest.web.outages import Lookup, Machine
from openalign.ingest.web.transfers.reactor import process_share

FAR = "http://192.0.2.77/x"
REFUSED = "no socket could be opened here"
NAMELESS = "http://no-such-host.example/x"


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({"/x": Reply(body=b"x")}) as running:
        yield running


@pytest.fixture
def names() -> Iterator[NameServer]:
    """A name server that does not say whether there is such a host."""
    with name_server() as running:
        running.otherwise = NameReply(code=SERVFAIL)
        yield running


def test_a_copy_where_nothing_listens_ends_the_run(web: Web) -> None:
    target = f"127.0.0.1:{free_port()}"
    config = web.download(connect_to={HOST: target})

    with pytest.raises(StageError) as caught:
        fetch(config, [f"{SITE}/x"])

    assert (
        str(caught.value)
        == f"nothing listens at {target}, where {HOST} is reached (`web.connect_to`)"
    )
    assert caught.value.hint == "the same command goes on from here, once that is mended"


def test_an_outage_that_is_over_at_the_next_attempt_is_no_failure(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.routes["/ill"] = [Reply(hang_up=True), Reply(body=b"well")]
    found = [errno.EMFILE]
    monkeypatch.setattr(Machine, "missing_descriptors", lambda _: found.pop() if found else 0)

    # Nor does it count against the host, which is given up after one failure.
    assert content(fetch_one(web, "/ill", num_retries=1, host_failures=1)) == b"well"


def test_an_outage_that_lasts_ends_the_run_after_the_last_attempt(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.routes["/ill"] = Reply(hang_up=True)
    monkeypatch.setattr(Machine, "missing_descriptors", lambda _: errno.EMFILE)

    with pytest.raises(StageError, match="no socket could be opened here"):
        fetch_one(web, "/ill", num_retries=2, respect_robots=False)
    assert web.asked["/ill"] == 4  # one of them to see whether fewer connections help


@pytest.mark.parametrize("has_route", [True, False], ids=["their network", "our network"])
def test_a_host_out_of_reach_fails_itself_unless_nothing_is_in_reach(
    web: Web, monkeypatch: pytest.MonkeyPatch, *, has_route: bool
) -> None:
    monkeypatch.setattr(Machine, "has_route", lambda *_: has_route)
    config = web.download(
        allowed_networks=("192.0.2.0/24",),
        connect_seconds=0.2,
        num_retries=0,
        respect_robots=False,
    )

    if has_route:
        assert failure(fetch(config, [FAR])[FAR])[0] in ("timeout", "connect_failure")
        return
    with pytest.raises(StageError, match=r"no route to 192\.0\.2\.77, nor to any other"):
        fetch(config, [FAR])


@pytest.mark.parametrize("lookup", Lookup)
def test_a_name_that_is_not_resolved_is_the_hosts_failure_unless_dns_is_out(
    web: Web, names: NameServer, monkeypatch: pytest.MonkeyPatch, lookup: Lookup
) -> None:
    monkeypatch.setattr(Machine, "look_up", lambda *_: lookup)
    config = web.download(respect_robots=False, num_retries=0, dns=names.settings())

    if lookup is Lookup.NO_ANSWER:
        with pytest.raises(StageError, match=r"none of no-such-host\.example, example\.com"):
            fetch(config, [NAMELESS])
        return
    assert failure(fetch(config, [NAMELESS])[NAMELESS])[0] == "dns_failure"


def test_name_servers_that_the_settings_name_tell_whether_dns_is_out(
    web: Web, names: NameServer
) -> None:
    config = web.download(respect_robots=False, num_retries=0, dns=names.settings())

    with pytest.raises(StageError, match=r"none of no-such-host\.example, example\.com"):
        fetch(config, [NAMELESS])

    names.knows("example.com", "192.0.2.80")
    assert failure(fetch(config, [NAMELESS])[NAMELESS])[0] == "dns_failure"


def test_other_hosts_do_not_wait_for_a_resolver(
    web: Web, names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.routes |= {f"/{n}": Reply(body=b"y") for n in range(20)}
    may_answer = threading.Event()

    def look_up(_: Machine, name: str) -> Lookup:
        del name
        assert may_answer.wait(PATIENCE_SECONDS)
        return Lookup.KNOWN

    monkeypatch.setattr(Machine, "look_up", look_up)
    config = web.download(
        respect_robots=False, num_retries=0, requests_per_second=20.0, dns=names.settings()
    )
    seen: list[str] = []

    with WebClient(config, accept="*/*", body=BODY) as client:
        for outcome in client.ask([NAMELESS, *(f"{SITE}/{n}" for n in range(20))]):
            seen.append(outcome.url)
            if len(seen) == 20:
                may_answer.set()

    assert seen[-1] == NAMELESS


@pytest.mark.parametrize("num_retries", [0, 1], ids=["from before", "from the first attempt"])
def test_what_libcurl_remembers_of_a_name_does_not_outlive_an_outage(
    web: Web, names: NameServer, monkeypatch: pytest.MonkeyPatch, num_retries: int
) -> None:
    host, port = f"remembered-{num_retries}.example", web.address.rpartition(":")[2]

    def remember() -> None:
        curl = pycurl.Curl()
        curl.setopt(pycurl.SHARE, process_share())
        curl.setopt(pycurl.RESOLVE, [f"{host}:{port}:127.0.0.1"])
        curl.setopt(pycurl.URL, f"http://{host}:{port}/x")
        curl.setopt(pycurl.WRITEFUNCTION, lambda _: None)
        curl.perform()
        curl.close()

    def look_up(*_: object) -> Lookup:
        remember()  # between the attempts
        return Lookup.KNOWN

    monkeypatch.setattr(Machine, "look_up", look_up)
    remember()
    url = f"http://{host}:{port}/x"
    config = web.download(respect_robots=False, num_retries=num_retries, dns=names.settings())

    assert failure(fetch(config, [url])[url])[0] == "dns_failure"


_FEW_DESCRIPTORS = """
import json, os, resource, sys
from openalign.errors import StageError
from openalign.ingest.web.answers import BodyRule
from openalign.ingest.web.client import WebClient
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.outages import Machine

address, num_hosts, soft, hard, spare, is_probed = sys.argv[1], *map(int, sys.argv[2:])
if not is_probed:  # only the socket that is refused tells then
    Machine.missing_descriptors = lambda _: 0
if soft:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
hosts = [f"host{n}.example" for n in range(num_hosts)]
config = WebConfig(
    contact="test@example.org",
    allowed_networks=("127.0.0.0/8",),
    connect_to=dict.fromkeys(hosts, address),
    num_retries=0,
)
with WebClient(config, accept="*/*", body=BodyRule(max_bytes=10)) as client:
    if spare >= 0:
        opened = max(int(name) for name in os.listdir("/dev/fd")) + 1 if spare else 0
        resource.setrlimit(resource.RLIMIT_NOFILE, (opened + spare, opened + spare))
    try:
        outcomes = list(client.ask([f"http://{host}/slow" for host in hosts]))
    except StageError as error:
        print(json.dumps([str(error)]))
    else:
        print(json.dumps(sorted({type(outcome).__name__ for outcome in outcomes})))
"""


def outcomes_with_descriptors(
    web: Web,
    *,
    num_hosts: int = 150,
    soft: int = 0,
    hard: int = 0,
    spare: int = -1,
    is_probed: bool = True,
) -> list[str]:
    web.routes["/slow"] = Reply(body=b"x", before_seconds=0.05)
    numbers = (str(number) for number in (num_hosts, soft, hard, spare, int(is_probed)))
    command = [sys.executable, "-c", _FEW_DESCRIPTORS, web.address, *numbers]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    kinds: list[str] = json.loads(done.stdout)
    return kinds


@pytest.mark.parametrize(
    ("num_hosts", "soft", "hard"),
    [
        pytest.param(150, 100, 100, id="few"),
        pytest.param(30, 40, 40, id="hardly any"),
        pytest.param(150, 40, 4096, id="a soft limit that may be raised"),
    ],
)
def test_as_many_connections_are_made_as_descriptors_allow(
    web: Web, num_hosts: int, soft: int, hard: int
) -> None:
    outcomes = outcomes_with_descriptors(web, num_hosts=num_hosts, soft=soft, hard=hard)

    assert outcomes == ["Response"]


@pytest.mark.parametrize("is_probed", [True, False], ids=["probed", "not probed"])
def test_descriptors_that_run_out_are_no_failure_of_a_host(web: Web, *, is_probed: bool) -> None:
    assert outcomes_with_descriptors(web, spare=40, is_probed=is_probed) == ["Response"]


def test_without_a_single_descriptor_the_run_ends(web: Web) -> None:
    assert outcomes_with_descriptors(web, spare=0) == [f"{REFUSED} (Too many open files)"]
