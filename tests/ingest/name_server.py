"""A DNS server on loopback: a test decides its answers and counts its queries."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from openalign.hostile_web.name_server import (
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    NameReply,
    ServedNames,
    addresses,
    served_names,
)
from openalign.ingest.web.config import DnsConfig

__all__ = [
    "NXDOMAIN",
    "REFUSED",
    "SERVFAIL",
    "NameReply",
    "NameServer",
    "addresses",
    "name_server",
]


@dataclass(kw_only=True)
class NameServer(ServedNames):
    """The names that are known."""

    names: dict[tuple[str, str], NameReply | list[NameReply]] = field(
        default_factory=dict[tuple[str, str], NameReply | list[NameReply]]
    )
    otherwise: NameReply = field(default_factory=lambda: NameReply(code=NXDOMAIN))
    """Said of all other names."""

    def answer_to(self, name: str, kind: str, times: int) -> NameReply:
        known = self.names.get((name, kind), self.otherwise)
        return known[min(times, len(known)) - 1] if isinstance(known, list) else known

    def knows(self, name: str, *texts: str, **changes: Any) -> None:
        """Give a name these addresses; of the other family it has none."""
        for kind, sign in (("A", "."), ("AAAA", ":")):
            of_kind = [text for text in texts if sign in text]
            self.names[name, kind] = addresses(name, *of_kind, **changes)

    def settings(self, **changes: Any) -> DnsConfig:
        """Return settings that ask this server alone, without a limit on the rate."""
        given: dict[str, Any] = {"servers": (self.address,), "queries_per_second": 1e6}
        return DnsConfig(**(given | changes))


@contextmanager
def name_server() -> Generator[NameServer]:
    """Serve names while the block runs."""
    names = NameServer()
    with served_names(names):
        yield names
