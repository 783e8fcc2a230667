"""Looking up names: c-ares within limits, beside libcurl's threaded resolver.

    sudo .venv/bin/python benchmarks/names.py
    sudo .venv/bin/python benchmarks/names.py --hosts 300 --repeat 1     a quick look

Many hosts are asked three times each, at a port where nothing listens, so that little but the names
costs anything. A name server on loopback, in a process of its own, knows every host
`*.live.example` and no other:

    ours       `WebClient`, with every check but robots.txt
    threaded   the same client, whose names are left to libcurl: a thread looks each up

They run in turn in one process on one core; ratios of CPU time are of one turn, and their median is
printed. libcurl's resolver asks where /etc/resolv.conf says, at
port 53: so this needs root, and a mount namespace of its own, in which that file is another one.
"""

import argparse
import asyncio
import ctypes
import multiprocessing
import os
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

NAME_SERVER = "127.0.0.54"
CONNECTIONS = 256
PATHS = 3
_NEW_MOUNTS, _BIND, _PRIVATE = 0x00020000, 4096, (1 << 18) | 16384


class _Names(asyncio.DatagramProtocol):
    """Answers with 127.0.0.1 for a live host, and with NXDOMAIN for any other."""

    def __init__(self, counts: Any) -> None:
        self._counts = counts

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        end = data.index(b"\0", 12) + 5
        (kind,) = struct.unpack(">H", data[end - 4 : end - 2])
        self._counts[kind == 28] += 1
        is_live = b"\x04live" in data[12:end]
        answer = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\x7f\0\0\x01" if kind == 1 else b""
        answer = answer if is_live else b""
        flags = 0x8180 if is_live else 0x8183
        head = data[:2] + struct.pack(">5H", flags, 1, bool(answer), 0, 0)
        self._transport.sendto(head + data[12:end] + answer, addr)


def serve_names(core: int, counts: Any, ready: Any) -> None:
    os.sched_setaffinity(0, {core})

    async def forever() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: _Names(counts), local_addr=(NAME_SERVER, 53))
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(forever())


@contextmanager
def names(core: int) -> Iterator[Any]:
    """Run the name server, where this process's resolv.conf leads; yield its counts."""
    context = multiprocessing.get_context("spawn")
    counts, ready = context.Array("q", 2), context.Event()
    process = context.Process(target=serve_names, args=(core, counts, ready), daemon=True)
    process.start()
    assert ready.wait(30), f"the name server does not start: is {NAME_SERVER}:53 taken?"
    libc = ctypes.CDLL(None, use_errno=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write(f"nameserver {NAME_SERVER}\n")
        conf.flush()
        calls = (
            lambda: libc.unshare(_NEW_MOUNTS),
            lambda: libc.mount(None, b"/", None, _PRIVATE, None),
            lambda: libc.mount(conf.name.encode(), b"/etc/resolv.conf", None, _BIND, None),
        )
        for call in calls:
            if call():
                raise SystemExit(f"no mount of its own: {os.strerror(ctypes.get_errno())}")
        yield counts
    process.terminate()
    process.join()


def ours(urls: Sequence[str]) -> int:
    """Ask as fetch does; return how many outcomes there were."""
    from openalign.ingest.web.answers import BodyRule
    from openalign.ingest.web.client import WebClient
    from openalign.ingest.web.config import DnsConfig, WebConfig

    web = WebConfig(
        contact="https://example.org",
        requests_per_second=1e6,
        connections=CONNECTIONS,
        connections_per_host=1,
        num_retries=0,
        respect_robots=False,
        ask_tdmrep=False,
        allowed_networks=("127.0.0.0/8",),
        dns=DnsConfig(queries_per_second=1e6),
    )
    with WebClient(web, accept="image/*", body=BodyRule(max_bytes=1_000_000)) as asking:
        return sum(1 for _ in asking.ask(urls))


def threaded(urls: Sequence[str]) -> int:
    """Ask as `ours`, but hand libcurl no addresses."""
    from openalign.ingest.web.transfers.connections import Connections

    with mock.patch.object(Connections, "_is_looked_up", return_value=False):
        return ours(urls)


def measured(work: Callable[[], int], expected: int) -> tuple[float, float]:
    """Return the CPU seconds and the seconds that some work takes."""
    started = time.process_time(), time.monotonic()
    assert work() == expected
    return time.process_time() - started[0], time.monotonic() - started[1]


def compare(num_hosts: int, counts: Any, repeat: int) -> None:
    """Print what asking hosts with live and with dead names costs."""
    spent: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for turn in range(repeat + 1):
        for kind in ("live", "dead"):
            hosts = [f"h{n}.{kind}.example" for n in range(num_hosts)]
            urls = [f"http://{host}:2/{n}" for n in range(PATHS) for host in hosts]
            for name, ask in (("ours", ours), ("threaded", threaded)):
                counts[0] = counts[1] = 0
                took = measured(lambda a=ask, u=urls: a(u), len(urls))
                if turn:  # the first round warms up
                    spent.setdefault((kind, name), []).append(took)
                if turn == repeat:
                    print(f"{kind}, {name:9}{counts[0]:6} queries for A, {counts[1]:6} for AAAA")
    for (kind, name), costs in spent.items():
        ratios = sorted(
            other[0] / own[0] for other, own in zip(costs, spent[kind, "ours"], strict=True)
        )
        print(
            f"{kind}, {name:9}{statistics.median(wall for _, wall in costs):6.2f} s, CPU "
            f"{1e6 * statistics.median(cpu for cpu, _ in costs) / num_hosts:5.0f} us a host, "
            f"{statistics.median(ratios):.2f} of ours ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with names(cores[-1]) as counts:
        os.sched_setaffinity(0, {cores[0]})
        compare(options.hosts, counts, options.repeat)


if __name__ == "__main__":
    main()
