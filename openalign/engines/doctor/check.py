"""The result of checking one part of a cluster."""

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked."""

    subject: str
    found: str
    problem: str = ""
    """The problem; empty when there is none."""

    hint: str = ""
    unknown: bool = False
    """Whether this machine cannot check it."""


def endpoint(subject: str, address: str, hint: str = "") -> Check:
    """Check whether something listens at `host:port`."""
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
