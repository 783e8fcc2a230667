"""The client behind a proxy: what it asks the proxy for, and what it refuses itself."""

from collections.abc import Iterator
from typing import Any

import pytest
from downloads import content, failure, fetch
from faulty_web import HOST, SITE, Reply, Web, serve
from local_ports import free_port

from openalign.errors import StageError
from openalign.ingest.web.config import WebConfig

FAR = "http://far.example/x"


@pytest.fixture
def proxy() -> Iterator[Web]:
    """A server that is asked for whole addresses, and answers for every host."""
    robots = "http://far.example/robots.txt"
    routes = {FAR: Reply(body=b"far"), robots: Reply(status=404), "/x": Reply(body=b"x")}
    with serve(routes) as running:
        yield running


def behind(proxy: Web, **changes: Any) -> WebConfig:
    return proxy.download(
        proxy=f"http://user:secret@{proxy.address}", connect_to={}, allowed_networks=(), **changes
    )


def test_a_proxy_is_asked_for_the_whole_address_and_its_own_is_not_judged(proxy: Web) -> None:
    assert content(fetch(behind(proxy), [FAR])[FAR]) == b"far"
    assert proxy.asked == {"http://far.example/robots.txt": 1, FAR: 1}


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/x", "http://[::1]/x", "http://10.0.0.1/x", "http://localhost/x"),
        *("http://localhost./x", "http://a.localhost/x", "http://a.localhost./x"),
    ],
)
def test_an_address_that_is_private_as_it_is_written_is_refused(proxy: Web, url: str) -> None:
    assert failure(fetch(behind(proxy), [url])[url])[0] == "private_address"
    assert not proxy.asked


def test_a_redirect_to_a_private_address_is_refused(proxy: Web) -> None:
    headers = [("Location", "http://169.254.169.254/latest/")]
    proxy.routes[FAR] = Reply(status=302, headers=headers)

    assert failure(fetch(behind(proxy), [FAR])[FAR]) == (
        "private_address",
        "169.254.169.254 is not a public address",
    )


def test_networks_that_are_allowed_may_be_asked_for(proxy: Web) -> None:
    url = "http://10.0.0.1/x"
    proxy.routes[url] = Reply(body=b"ours")
    config = proxy.download(
        proxy=f"http://{proxy.address}",
        connect_to={},
        allowed_networks=("10.0.0.0/8",),
        respect_robots=False,
    )

    assert content(fetch(config, [url])[url]) == b"ours"


def test_hosts_that_are_reached_elsewhere_are_reached_without_the_proxy(proxy: Web) -> None:
    with serve({"/x": Reply(body=b"copy")}) as web:
        config = web.download(proxy=f"http://{proxy.address}", connect_to={HOST: web.address})
        outcomes = fetch(config, [f"{SITE}/x", FAR])

    assert content(outcomes[f"{SITE}/x"]) == b"copy"
    assert content(outcomes[FAR]) == b"far"


def test_a_copy_beside_a_proxy_is_judged_as_ever(proxy: Web) -> None:
    config = proxy.download(
        proxy=f"http://{proxy.address}", connect_to={HOST: proxy.address}, allowed_networks=()
    )

    assert failure(fetch(config, [f"{SITE}/x"])[f"{SITE}/x"])[0] == "private_address"


def test_a_proxy_that_is_gone_is_no_failure_of_a_host(proxy: Web) -> None:
    port = free_port()
    config = proxy.download(proxy=f"http://127.0.0.1:{port}", connect_to={}, num_retries=0)

    with pytest.raises(StageError, match=f"the proxy at 127.0.0.1:{port} takes no connection"):
        fetch(config, [FAR])


def test_a_tunnel_that_a_proxy_refuses_is_the_hosts_failure(proxy: Web) -> None:
    url = "https://far.example/x"

    outcome = fetch(behind(proxy, respect_robots=False, num_retries=0), [url])[url]

    assert failure(outcome)[0] == "connect_failure"


def test_the_environment_names_no_proxy(proxy: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    assert content(fetch(proxy.download(), [f"{SITE}/x"])[f"{SITE}/x"]) == b"x"
