"""How the web is asked: the settings that `harvest` and `fetch` share."""

import ipaddress
import re
from dataclasses import dataclass

from openalign.settings.fields import runtime, runtime_factory


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """How the web is asked. Defaults are polite to hosts that are not ours.

    Contact, deadlines and retries are no part of a fingerprint: on a healthy network they change
    nothing, and changing them must not fetch everything again.
    """

    contact: str = runtime("")
    """Whom a host's owner can write to, an e-mail address or a URL; part of the User-Agent. A stage
    that asks the web does not start without it."""

    requests_per_second: float = runtime(5.0)
    """Requests that one host gets in a second; its own Crawl-delay holds where it is slower."""

    connections: int = runtime(256)
    """Transfers at one time in one process."""

    connections_per_host: int = runtime(4)
    """Transfers at one time from one host."""

    connect_seconds: float = runtime(10.0)
    """Longest time for name, connection and TLS."""

    first_byte_seconds: float = runtime(20.0)
    """Longest time from the start of a request to the first byte of its answer."""

    total_seconds: float = runtime(60.0)
    """Longest time for one request, the body included."""

    min_bytes_per_second: int = runtime(1000)
    """A body that is slower than this for `slow_seconds` is given up."""

    slow_seconds: int = runtime(15)
    """How long a body may be slower than `min_bytes_per_second`."""

    max_redirects: int = 5
    """Redirects that are followed; each hop is judged as the first address was."""

    num_retries: int = runtime(2)
    """Further attempts after a temporary failure: names that do not resolve, timeouts, broken
    connections, 429 and 5xx."""

    retry_seconds: float = runtime(1.0)
    """Pause before the first retry; it doubles with each one."""

    max_retry_seconds: float = runtime(60.0)
    """Longest pause; a host whose Retry-After asks for more is not asked again."""

    host_failures: int = runtime(20)
    """Unreachable answers in a row after which the rest of a host fails without being tried."""

    respect_robots: bool = True
    """Ask for robots.txt and keep to it (RFC 9309)."""

    respect_opt_outs: bool = True
    """Skip images and pages that X-Robots-Tag (noai, noimageai, noindex, none) or a TDM reservation
    withholds."""

    allowed_networks: tuple[str, ...] = ()
    """Networks (CIDR) that may be reached although they are private, such as 127.0.0.0/8."""

    connect_to: dict[str, str] = runtime_factory(dict[str, str])  # noqa: RUF009  # a field
    """Where hosts are reached, as `address:port`, in place of what their names resolve to."""

    def __post_init__(self) -> None:
        if self.contact and not re.fullmatch(r"https?://[!-~]+|[!-?A-~]+@[!-?A-~]+", self.contact):
            raise ValueError(
                f"contact must be an e-mail address or a URL, got {self.contact!r}: "
                "owners of hosts must be able to write to somebody"
            )
        for name in (
            "requests_per_second",
            "connections",
            "connections_per_host",
            "connect_seconds",
            "first_byte_seconds",
            "total_seconds",
            "slow_seconds",
            "host_failures",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in (
            "min_bytes_per_second",
            "max_redirects",
            "num_retries",
            "retry_seconds",
            "max_retry_seconds",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        for network in self.allowed_networks:
            _check_network(network)
        for host, target in self.connect_to.items():
            if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):\d{1,5}", target):
                raise ValueError(
                    f"connect_to must map a host to address:port, got {host}: {target!r}"
                )


def _check_network(network: str) -> None:
    try:
        ipaddress.ip_network(network)
    except ValueError as error:
        raise ValueError(
            f"allowed_networks must hold networks such as 127.0.0.0/8, got {network!r}: {error}"
        ) from error
