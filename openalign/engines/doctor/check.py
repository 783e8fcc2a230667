"""What a look at a part of a cluster gives."""

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    subject: str
    found: str
    problem: str = ""
    """What stands in the way; empty where nothing does."""

    hint: str = ""
    unknown: bool = False
    """Whether it cannot be seen from here."""


def endpoint(subject: str, address: str, hint: str = "") -> Check:
    """See whether something listens at `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=10):
            return Check(subject=subject, found=f"{address} answers")
    except (OSError, ValueError) as error:
        return Check(
            subject=subject,
            found=f"{address}: {error}",
            problem=f"no {subject} answers at {address} ({error})",
            hint=hint or "see that it runs, and that the address is the one it listens on",
        )
