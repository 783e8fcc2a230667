"""c-ares, which asks name servers: its channels, and what their answers say of a name."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import pycares

Result = pycares.DNSResult | None

_KNOWN_TO_FAIL = frozenset(
    {
        pycares.errno.ARES_ENOTFOUND,
        pycares.errno.ARES_ENODATA,
        pycares.errno.ARES_EBADNAME,
        pycares.errno.ARES_ENONAME,
    }
)
_TRIES_OF_ONE = 5
"""c-ares waits a quarter of a second where a server is quick, and doubles that each time."""

_TRIES_OF_EACH = 2
_NEVER = (".invalid", ".onion")
"""No name ends so in DNS (RFC 6761, RFC 7686)."""


def open_channel(
    servers: Sequence[str], on_descriptor: Callable[[int, bool, bool], None] | None = None
) -> pycares.Channel:
    """Return a channel to servers, or to the system's where none is named.

    `on_descriptor` is told which descriptors to watch for reading and writing; without it a thread
    of c-ares does. Where there is one server, its refusal to answer is final: another try would
    only ask it again. `getaddrinfo` of the channel reads the hosts file alone.
    """
    channel = _channel(servers, on_descriptor, tries=_TRIES_OF_ONE, takes_refusals=True)
    if len(channel.servers) == 1:
        return channel
    channel.close()
    return _channel(servers, on_descriptor, tries=_TRIES_OF_EACH, takes_refusals=False)


def ask(
    channel: pycares.Channel, name: str, kind: int, tell: Callable[[Result, int | None], None]
) -> None:
    """Ask for the records of a name; `tell` is called once, perhaps at once.

    Only a name without a dot is looked for in the domains of resolv.conf, too.
    """
    start = channel.query if "." in name else channel.search
    with suppress(pycares.AresError):  # a name that nobody can be asked for; it has been told
        start(name, kind, callback=tell)


def is_known_to_fail(status: int) -> bool:
    """Tell whether DNS has answered that a name has no address of a kind."""
    return status in _KNOWN_TO_FAIL


def is_never_in_dns(name: str) -> bool:
    """Tell whether a name is below one that DNS never has."""
    return name.rstrip(".").endswith(_NEVER)


def _channel(
    servers: Sequence[str],
    on_descriptor: Callable[[int, bool, bool], None] | None,
    *,
    tries: int,
    takes_refusals: bool,
) -> pycares.Channel:
    flags = pycares.ARES_FLAG_EDNS
    flags |= pycares.ARES_FLAG_NOCHECKRESP if takes_refusals else 0
    return pycares.Channel(
        flags=flags, tries=tries, lookups="f", servers=servers, sock_state_cb=on_descriptor
    )
