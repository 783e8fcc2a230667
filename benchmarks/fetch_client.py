"""The polite client beside bare libcurl, and what addresses that stall cost the others.

    .venv/bin/python benchmarks/fetch_client.py
    .venv/bin/python benchmarks/fetch_client.py --requests 5000 --repeat 3      a quick look

`tiny` asks for small answers (`canned_server`, in another process) from 100 hosts: `WebClient` with
every check but robots.txt, and two bare loops of pycurl's multi interface: `perform` looks at all
handles each time and waits by `select`, which knows no descriptor above 1,023; `epoll` is told by
libcurl what to wait for, as the client is. They run in turn in one process on one core; figures are
CPU seconds, ratios the median of the rounds' own.

`stalls` asks for 300 addresses a second, as the rates of their hosts have it, with and without one
in a hundred that never answers. Its figure is the share of the throughput that is left, by wall
time, once the last stall of the run without its tail is over: a run is long beside its deadline.
"""

import argparse
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from canned_server import served

NUM_HOSTS = 100
FIRST_BYTE_SECONDS = 1.0


def addresses(number: int, *, stalled_every: int = 0) -> list[str]:
    """Return addresses over all hosts; every so many of them stalls."""
    return [
        f"http://h{n % NUM_HOSTS}.example/"
        f"{'stalled' if stalled_every and n % stalled_every == 0 else 'gone'}/{n}"
        for n in range(number)
    ]


def client(address: str, urls: Sequence[str], connections: int, **changes: Any) -> int:
    """Ask as fetch does; return the number of answers."""
    from openalign.ingest.web.answers import BodyRule
    from openalign.ingest.web.client import WebClient
    from openalign.ingest.web.config import WebConfig

    settings: dict[str, Any] = {"requests_per_second": 1e6, **changes}
    web = WebConfig(
        contact="https://example.org",
        connections=connections,
        connections_per_host=max(1, connections // NUM_HOSTS),
        num_retries=0,
        respect_robots=False,
        ask_tdmrep=False,
        allowed_networks=("127.0.0.0/8",),
        connect_to={f"h{n}.example": address for n in range(NUM_HOSTS)},
        **settings,
    )
    with WebClient(web, accept="image/*", body=BodyRule(max_bytes=1_000_000)) as asking:
        return sum(1 for _ in asking.ask(urls))


def handles(address: str, connections: int) -> list[Any]:
    """Return handles of libcurl that drop what they are sent."""
    import pycurl

    found = [pycurl.Curl() for _ in range(connections)]
    for curl in found:
        curl.setopt(pycurl.CONNECT_TO, [f"::{address}"])
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.HEADERFUNCTION, lambda _: None)
        curl.setopt(pycurl.WRITEFUNCTION, lambda _: None)
    return found


def bare(
    urls: Sequence[str],
    idle: list[Any],
    add: Callable[[Any], None],
    turn: Callable[[], list[Any]],
) -> int:
    """Ask with a multi handle and nothing else; `turn` returns the handles that have ended."""
    import pycurl

    waiting, num_active, num_ended = deque(urls), 0, 0
    while waiting or num_active:
        while waiting and idle:
            curl = idle.pop()
            curl.setopt(pycurl.URL, waiting.popleft())
            add(curl)
            num_active += 1
        ended = turn()
        assert all(curl.getinfo(pycurl.RESPONSE_CODE) == 404 for curl in ended)
        idle += ended
        num_active -= len(ended)
        num_ended += len(ended)
    return num_ended


def by_perform(address: str, urls: Sequence[str], connections: int) -> int:
    """Look at all handles each time, and wait by `select`."""
    import pycurl

    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, connections)

    def turn() -> list[Any]:
        multi.perform()
        _, ended, failed = multi.info_read()
        assert not failed, failed
        for curl in ended:
            multi.remove_handle(curl)
        if not ended:
            multi.select(1.0)
        return ended

    return bare(urls, handles(address, connections), multi.add_handle, turn)


def by_epoll(address: str, urls: Sequence[str], connections: int) -> int:
    """Look at the handles of which epoll tells something."""
    from openalign.ingest.web.transfers.reactor import Reactor

    reactor = Reactor(max_connections=connections)

    def turn() -> list[Any]:
        ended = reactor.turn(1.0)
        assert not any(code for _, code in ended), ended
        return [curl for curl, _ in ended]

    found = bare(urls, handles(address, connections), reactor.add, turn)
    reactor.close()
    return found


def cpu_seconds(work: Callable[[], int], expected: int) -> float:
    started = time.process_time()
    assert work() == expected
    return time.process_time() - started


def show_tiny(address: str, *, num_requests: int, repeat: int) -> None:
    """Print what a request takes in the client and in the bare loops."""
    urls = addresses(num_requests)
    contenders = {"ours": client, "perform": by_perform, "epoll": by_epoll}
    for connections in (256, 1000):
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(repeat + 1):
            for name, ask in contenders.items():
                spent = cpu_seconds(lambda a=ask, n=connections: a(address, urls, n), len(urls))
                if number:  # the first round warms up
                    seconds[name].append(spent)
        for name, spent in seconds.items():
            pairs = zip(spent, seconds["ours"], strict=True)
            ratios = sorted(other / own for other, own in pairs)
            print(
                f"tiny, {connections:>5} connections   {name:8}"
                f"{statistics.median(spent) / len(urls) * 1e6:6.0f} us a request   ours is "
                f"{statistics.median(ratios):.2f} as fast ({ratios[0]:.2f} to {ratios[-1]:.2f})",
                flush=True,
            )


def show_stalls(address: str, *, seconds: float) -> None:
    """Print what is left of the throughput where one address in a hundred stalls."""
    rate = 3.0  # for each of a hundred hosts
    urls_of = {
        stalled_every: addresses(int(seconds * rate * NUM_HOSTS), stalled_every=stalled_every)
        for stalled_every in (0, 97)
    }
    spent = {}
    for stalled_every, urls in urls_of.items():
        started = time.monotonic()
        client(
            address,
            urls,
            256,
            requests_per_second=rate,
            first_byte_seconds=FIRST_BYTE_SECONDS,
        )
        spent[stalled_every] = time.monotonic() - started
    without, with_stalls = spent.values()
    print(
        f"stalls: {without:.1f} s without, {with_stalls:.1f} s with one in 97 that stalls for "
        f"{FIRST_BYTE_SECONDS:.0f} s   {without / with_stalls:.2f} of the throughput"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0, help="of a run with stalls")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with served() as address:
        show_tiny(address, num_requests=options.requests, repeat=options.repeat)
        show_stalls(address, seconds=options.seconds)


if __name__ == "__main__":
    main()
