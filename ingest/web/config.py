"""How the web is asked: the settings that `harvest` and `fetch` share."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import date

from openalign.settings.fields import runtime, runtime_factory
from openalign.settings.limits import not_negative, positive

OPT_OUT_SETTINGS = ("respect_opt_outs", "opt_outs_as_of")
"""The settings that also hold for pages which somebody else has fetched."""


_HOST_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_PROXY = re.compile(
    r"(https?|socks4a|socks5h)://([!-~]+@)?(\[[0-9A-Fa-f:.]+\]|[^\s:/@]+):\d{1,5}/?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """What differs for one host, or for all below a name; what is null is as for all hosts."""

    requests_per_second: float | None = runtime(None)
    """Requests in a second; a Crawl-delay holds where it is slower."""

    connections_per_host: int | None = runtime(None)
    """Transfers at one time."""

    host_seconds: float | None = runtime(None)
    """How long a worker may be busy with the host in all."""

    host_failures: int | None = runtime(None)
    """Unreachable answers in a row after which the rest fails without being tried."""

    max_retry_seconds: float | None = runtime(None)
    """Longest pause; a Retry-After that asks for more closes the host."""

    def __post_init__(self) -> None:
        positive(
            requests_per_second=self.requests_per_second,
            connections_per_host=self.connections_per_host,
            host_seconds=self.host_seconds,
            host_failures=self.host_failures,
        )
        if self.max_retry_seconds is not None:
            not_negative(max_retry_seconds=self.max_retry_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsConfig:
    """How names are looked up. Nothing is, for hosts in `connect_to` and behind a proxy."""

    servers: tuple[str, ...] = runtime(())
    """Addresses of resolvers, such as `9.9.9.9` or `[2620:fe::fe]:53`; none: those of the system
    (resolv.conf)."""

    queries: int = runtime(256)
    """Queries under way at one time in one process. A name takes one, or two where this machine
    has a route for IPv6."""

    queries_per_second: float = runtime(500.0)
    """Queries of one process in a second; repeats of lost ones are not counted."""

    min_ttl_seconds: float = runtime(60.0)
    """How long addresses are kept at least, although their TTL is shorter."""

    max_ttl_seconds: float = runtime(3600.0)
    """How long they are kept at most. The system's resolvers are read anew as often."""

    max_names: int = runtime(50_000)
    """Names whose addresses are kept; those looked up first are dropped first."""

    def __post_init__(self) -> None:
        positive(
            queries=self.queries,
            queries_per_second=self.queries_per_second,
            max_ttl_seconds=self.max_ttl_seconds,
            max_names=self.max_names,
        )
        not_negative(min_ttl_seconds=self.min_ttl_seconds)
        if self.queries < 2:
            raise ValueError(f"queries must be at least 2, got {self.queries}: a name can take two")
        if self.min_ttl_seconds > self.max_ttl_seconds:
            raise ValueError(
                f"min_ttl_seconds must not exceed max_ttl_seconds, got {self.min_ttl_seconds} "
                f"and {self.max_ttl_seconds}"
            )
        for server in self.servers:
            _check_server(server)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """How the web is asked. The defaults are polite to hosts that are not yours.

    Contact, deadlines and retries are no part of a fingerprint. They decide what a bad network lets
    through, not what a healthy one gives, so a change to them fetches nothing again.
    """

    contact: str = runtime("")
    """E-mail address or URL where the owner of a host can reach you; part of the User-Agent. A
    stage that asks the web does not start without it."""

    requests_per_second: float = runtime(5.0)
    """Requests that one host gets in a second; its own Crawl-delay holds where it is slower."""

    connections: int = runtime(256)
    """Transfers at one time in one process."""

    connections_per_host: int = runtime(4)
    """Transfers at one time from one host."""

    connect_seconds: float = runtime(10.0)
    """Longest time for the look-up of a name, and again for the connection and TLS."""

    first_byte_seconds: float = runtime(20.0)
    """Longest time from the start of a request to the first byte of its answer."""

    total_seconds: float = runtime(60.0)
    """Longest time for one request, the body included."""

    min_bytes_per_second: int = runtime(1000)
    """A body slower than this for `slow_seconds` is given up."""

    slow_seconds: int = runtime(15)
    """How long a body may be slower than `min_bytes_per_second`."""

    max_redirects: int = 5
    """Redirects that are followed; each hop is judged like the first address."""

    num_retries: int = runtime(2)
    """Further attempts after a failure that can heal: a name that does not resolve, a timeout, a
    broken connection, 408, 425, 429 or 5xx."""

    retry_seconds: float = runtime(1.0)
    """Pause before the first retry; it doubles with each one."""

    max_retry_seconds: float = runtime(60.0)
    """Longest pause; a host whose Retry-After asks for more is not asked again in this run."""

    host_failures: int = runtime(20)
    """Unreachable answers in a row after which the rest of a host fails without being tried."""

    host_seconds: float | None = runtime(None)
    """How long a worker may be busy with one host in all; what then still waits ends as
    `out_of_budget`. Null is no limit."""

    hosts: dict[str, HostConfig] = runtime_factory(dict[str, HostConfig])  # noqa: RUF009  # a field
    """What differs for some hosts, by name: `cdn.example` is that host, `*.cdn.example` all below
    it. Of several that name a host, each setting comes from the most specific that has it."""

    respect_robots: bool = True
    """Ask for robots.txt and obey it (RFC 9309)."""

    respect_opt_outs: bool = True
    """Skip images and pages that X-Robots-Tag, robots meta elements (noai, noimageai, noimageindex,
    noindex, noml, none), a TDM reservation or a signal about training (`Content-Usage`,
    `Content-Signal`) withhold, and links that say nofollow."""

    ask_tdmrep: bool = True
    """Ask each origin for `/.well-known/tdmrep.json`, too, and obey it (W3C's TDMRep), with
    `respect_opt_outs`. It is a request more for an origin; the standard demands it."""

    opt_outs_as_of: str = "2026-11-01"
    """Day (YYYY-MM-DD) that `unavailable_after` is judged on: a page or image whose date lies
    before it is withheld. It is set here, because what is read must not depend on the clock."""

    allowed_networks: tuple[str, ...] = ()
    """Networks (CIDR) that may be reached although they are private, such as 127.0.0.0/8."""

    connect_to: dict[str, str] = runtime_factory(dict[str, str])  # noqa: RUF009  # a field
    """Where a host is reached, as `address:port`, instead of what its name resolves to."""

    dns: DnsConfig = runtime_factory(DnsConfig)  # noqa: RUF009  # a field
    """How names are looked up, and how long their addresses are kept."""

    proxy: str = runtime("")
    """The proxy that everything is asked through, as `http://proxy.example:3128` (or https,
    socks4a, socks5h); it looks up the names. Hosts in `connect_to` are reached without it."""

    ca_file: str = runtime("")
    """A file (PEM) with the certificates to trust, instead of the system's. CURL_CA_BUNDLE,
    SSL_CERT_FILE and SSL_CERT_DIR name others, in this order."""

    def __post_init__(self) -> None:
        if self.contact and not re.fullmatch(r"https?://[!-~]+|[!-?A-~]+@[!-?A-~]+", self.contact):
            raise ValueError(
                f"contact must be an e-mail address or a URL, got {self.contact!r}: "
                "owners of hosts must be able to write to somebody"
            )
        positive(
            requests_per_second=self.requests_per_second,
            connections=self.connections,
            connections_per_host=self.connections_per_host,
            connect_seconds=self.connect_seconds,
            first_byte_seconds=self.first_byte_seconds,
            total_seconds=self.total_seconds,
            slow_seconds=self.slow_seconds,
            host_failures=self.host_failures,
            host_seconds=self.host_seconds,
        )
        not_negative(
            min_bytes_per_second=self.min_bytes_per_second,
            max_redirects=self.max_redirects,
            num_retries=self.num_retries,
            retry_seconds=self.retry_seconds,
            max_retry_seconds=self.max_retry_seconds,
        )
        try:
            date.fromisoformat(self.opt_outs_as_of)
        except ValueError as error:
            raise ValueError(
                f"opt_outs_as_of must be a day such as 2026-11-01, got {self.opt_outs_as_of!r}"
            ) from error
        for network in self.allowed_networks:
            _check_network(network)
        for host, target in self.connect_to.items():
            if not _HOST_NAME.fullmatch(host) or host.startswith("*"):
                raise ValueError(
                    "connect_to must name hosts as URLs do, in lower case and without a port, such "
                    f"as cdn.example or xn--bcher-kva.example, got {host!r}"
                )
            place = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):(\d{1,5})", target)
            if place is None or not 0 < int(place[2]) < 65_536:
                raise ValueError(
                    f"connect_to must map a host to address:port, got {host}: {target!r}"
                )
        for name in self.hosts:
            if not _HOST_NAME.fullmatch(name):
                raise ValueError(
                    f"hosts must name hosts as URLs do, in lower case, such as cdn.example or "
                    f"*.cdn.example, got {name!r}"
                )
        if self.proxy and not _PROXY.fullmatch(self.proxy):
            raise ValueError(
                "proxy must be like http://proxy.example:3128, with http, https, socks4a or "
                "socks5h: a proxy of another kind cannot look up names"
            )

    @property
    def opt_outs_day(self) -> date:
        """`opt_outs_as_of` as a date."""
        return date.fromisoformat(self.opt_outs_as_of)


def _check_network(network: str) -> None:
    try:
        ipaddress.ip_network(network)
    except ValueError as error:
        raise ValueError(
            f"allowed_networks must hold networks such as 127.0.0.0/8, got {network!r}: {error}"
        ) from error


def _check_server(server: str) -> None:
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?|(.+)", server)
    address = next((part for part in match.group(1, 2, 4) if part), "") if match else ""
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise ValueError(
            f"servers must hold addresses such as 9.9.9.9 or [2620:fe::fe]:53, got {server!r}"
        ) from error
