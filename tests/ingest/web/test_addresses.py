import pytest

from openalign.ingest.web.addresses import is_allowed, parse_networks


@pytest.mark.parametrize(
    "address",
    [
        "93.184.215.14",
        "8.8.8.8",
        "2606:4700::1111",
        "172.15.255.255",
        "172.32.0.0",
        "64:ff9b::808:808",
        "192.0.1.0",
        "192.88.98.255",
        "2001:200::1",
        "2600::",
    ],
)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert is_allowed(address, ())


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("10.0.0.1", id="private"),
        pytest.param("172.16.0.0", id="first of 172.16/12"),
        pytest.param("172.31.255.255", id="last of 172.16/12"),
        pytest.param("192.168.1.1", id="private, at home"),
        pytest.param("169.254.169.254", id="link-local, where clouds keep credentials"),
        pytest.param("100.64.0.1", id="shared by a carrier"),
        pytest.param("0.0.0.0", id="this host"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("240.0.0.1", id="reserved"),
        pytest.param("255.255.255.255", id="broadcast"),
        pytest.param("::1", id="loopback, IPv6"),
        pytest.param("fe80::1%eth0", id="link-local, IPv6 with a zone"),
        pytest.param("fd00::1", id="unique local, IPv6"),
        pytest.param("ff02::1", id="multicast, IPv6"),
        pytest.param("::ffff:127.0.0.1", id="loopback, mapped"),
        pytest.param("64:ff9b::7f00:1", id="loopback, behind NAT64"),
        pytest.param("2002:7f00:1::", id="loopback, 6to4"),
        pytest.param("192.0.0.9", id="protocol assignments"),
        pytest.param("192.0.0.255", id="last of the protocol assignments"),
        pytest.param("192.88.99.1", id="6to4 relay"),
        pytest.param("64:ff9b:1::808:808", id="NAT64 within a network"),
        pytest.param("100:0:0:1::1", id="dummy, IPv6"),
        pytest.param("2001:1::1", id="protocol assignments, IPv6"),
        pytest.param("2001:1ff::1", id="last of the protocol assignments, IPv6"),
        pytest.param("3fff::1", id="documentation, IPv6"),
        pytest.param("3fff:fff::1", id="last of the documentation, IPv6"),
        pytest.param("5f00::1", id="segment identifiers"),
        pytest.param("fec0::1", id="site-local, IPv6"),
        pytest.param("feff::1", id="last of site-local, IPv6"),
    ],
)
def test_other_addresses_may_not(address: str) -> None:
    assert not is_allowed(address, ())


def test_an_allowed_network_lets_in_its_own_addresses_and_no_other() -> None:
    networks = parse_networks(["10.1.0.0/16", "fd00::/8"])

    assert is_allowed("10.1.255.255", networks)
    assert is_allowed("::ffff:10.1.0.1", networks)
    assert is_allowed("fd00::1", networks)
    assert not is_allowed("10.2.0.0", networks)
    assert not is_allowed("127.0.0.1", networks)
