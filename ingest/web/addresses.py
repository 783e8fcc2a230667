"""Which addresses may be reached: public ones, and private ones that a setting allows. Pure."""

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA special-purpose networks, which not every Python release treats as private.
_NOT_PUBLIC = (
    ipaddress.ip_network("192.0.0.0/24"),  # IETF protocol assignments
    ipaddress.ip_network("192.88.99.0/24"),  # 6to4 relays, given up
    ipaddress.ip_network("64:ff9b:1::/48"),  # NAT64 within a network
    ipaddress.ip_network("100::/63"),  # discard, dummy
    ipaddress.ip_network("2001::/23"),  # IETF protocol assignments
    ipaddress.ip_network("3fff::/20"),  # documentation
    ipaddress.ip_network("5f00::/16"),  # segment identifiers
    ipaddress.ip_network("fec0::/10"),  # site-local, given up
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def parse_networks(networks: Sequence[str]) -> tuple[Network, ...]:
    """Return networks in CIDR form as objects."""
    return tuple(ipaddress.ip_network(network) for network in networks)


def is_allowed(address: str, allowed: Sequence[Network]) -> bool:
    """Tell whether an address is public, or lies in one of the allowed networks.

    Private, loopback, link-local, shared, multicast and reserved addresses are not public. An IPv6
    address that wraps such an IPv4 address is not public either.
    """
    parsed = _unwrap(ipaddress.ip_address(address.partition("%")[0]))
    if any(parsed.version == network.version and parsed in network for network in allowed):
        return True
    if any(parsed.version == network.version and parsed in network for network in _NOT_PUBLIC):
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def is_address(host: str) -> bool:
    """Tell whether a host is written as an address, an IPv6 one in brackets."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def names_private_address(host: str, allowed: Sequence[Network]) -> bool:
    """Tell whether a host is written as an address that is not allowed, or is `localhost`."""
    if f".{host.removesuffix('.')}".endswith(".localhost"):
        return not any(is_allowed(address, allowed) for address in ("127.0.0.1", "::1"))
    try:
        return not is_allowed(host.strip("[]"), allowed)
    except ValueError:
        return False


def is_loopback(address: str) -> bool:
    """Tell whether an address is this machine's own."""
    return _unwrap(ipaddress.ip_address(address.partition("%")[0])).is_loopback


def _unwrap(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or address
