import pickle
from typing import Any

import pytest

from openalign.ingest.config import (
    MAX_BUCKETS,
    PILLOW_LIMIT_PX,
    FetchConfig,
    HarvestConfig,
)
from openalign.ingest.sources.crawl import SiteSource
from openalign.ingest.sources.table import TableSource
from openalign.ingest.web.config import HostConfig, WebConfig
from openalign.ingest.web.transfers.curl_options import user_agent
from openalign.settings.fields import identity

CONTACT = "someone@example.org"
WEB = WebConfig(contact=CONTACT)


def download(**changes: Any) -> WebConfig:
    return WebConfig(contact=CONTACT, **changes)


@pytest.mark.parametrize("contact", [CONTACT, "https://example.org/crawler", "http://a.example"])
def test_a_contact_is_an_address_that_somebody_reads(contact: str) -> None:
    assert f"(+{contact})" in user_agent(WebConfig(contact=contact).contact)


@pytest.mark.parametrize(
    "contact", ["me", "example.org", "a b@example.org", "a@b\r\nX-Evil: 1", "https://"]
)
def test_anything_else_is_no_contact(contact: str) -> None:
    with pytest.raises(ValueError, match="contact must be an e-mail address or a URL"):
        WebConfig(contact=contact)


@pytest.mark.parametrize(
    "name",
    [
        "requests_per_second",
        "connections",
        "connections_per_host",
        "connect_seconds",
        "first_byte_seconds",
        "total_seconds",
        "slow_seconds",
        "host_failures",
    ],
)
def test_rates_counts_and_deadlines_are_above_zero(name: str) -> None:
    assert getattr(download(**{name: 1}), name) == 1

    with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
        download(**{name: 0})


@pytest.mark.parametrize(
    "name",
    ["min_bytes_per_second", "max_redirects", "num_retries", "retry_seconds", "max_retry_seconds"],
)
def test_what_may_be_zero_is_not_below(name: str) -> None:
    assert getattr(download(**{name: 0}), name) == 0

    with pytest.raises(ValueError, match=f"{name} must not be negative, got -1"):
        download(**{name: -1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"allowed_networks": ("localhost",)}, "allowed_networks", id="a name"),
        pytest.param({"allowed_networks": ("10.0.0.1/8",)}, "host bits", id="host bits"),
        pytest.param({"connect_to": {"a.example": "127.0.0.1"}}, "address:port", id="no port"),
        pytest.param({"connect_to": {"a.example": "::1:80"}}, "address:port", id="bare IPv6"),
        pytest.param({"connect_to": {"a.example": "127.0.0.1:0"}}, "address:port", id="port 0"),
        pytest.param({"connect_to": {"a.example": "a:65536"}}, "address:port", id="a high port"),
        *(
            pytest.param(
                {"connect_to": {name: "127.0.0.1:80"}}, "connect_to must name hosts", id=name
            )
            for name in ("A.Example", "a.example:80", "a.example.", "bücher.example", "*.example")
        ),
        pytest.param({"opt_outs_as_of": "1 May 2026"}, "a day such as 2026-11-01", id="no day"),
    ],
)
def test_networks_targets_and_days_have_their_form(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WebConfig(contact=CONTACT, **changes)


def test_networks_and_targets_that_have_it_are_taken() -> None:
    config = WebConfig(
        contact=CONTACT,
        allowed_networks=("127.0.0.0/8", "::1/128"),
        connect_to={"a.example": "127.0.0.1:80", "b.example": "[::1]:8080"},
    )

    assert pickle.loads(pickle.dumps(config)) == config


def test_pace_and_place_are_no_part_of_the_identity() -> None:
    other = WebConfig(
        contact=CONTACT,
        requests_per_second=1.0,
        connections=1,
        connections_per_host=1,
        connect_to={"a.example": "127.0.0.1:80"},
    )

    assert identity(other) == identity(WEB)
    assert identity(WebConfig(contact=CONTACT, max_redirects=9)) != identity(WEB)
    assert identity(TableSource(path="a.csv")) == identity(TableSource(path="b.csv"))


@pytest.mark.parametrize(
    "changes",
    [
        {"contact": "another@example.org"},
        {"connect_seconds": 1.0, "first_byte_seconds": 1.0, "total_seconds": 1.0},
        {"min_bytes_per_second": 1, "slow_seconds": 1},
        {"num_retries": 9, "retry_seconds": 9.0, "max_retry_seconds": 9.0},
        {"host_failures": 9, "host_seconds": 9.0},
        {"hosts": {"cdn.example": HostConfig(requests_per_second=9.0)}},
        {"proxy": "http://proxy.example:3128", "ca_file": "own.pem"},
    ],
    ids=["contact", "deadlines", "slowness", "retries", "host failures", "hosts", "proxy"],
)
def test_what_a_bad_network_is_met_with_is_no_part_of_the_identity(changes: Any) -> None:
    assert identity(WebConfig(**changes)) == identity(WebConfig())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: SiteSource(seeds=()), "at least one page", id="no seed"),
        pytest.param(lambda: SiteSource(seeds=("a.example",)), "http or https", id="no scheme"),
        pytest.param(lambda: SiteSource(seeds=("ftp://a/",)), "http or https", id="ftp"),
        pytest.param(lambda: SiteSource(seeds=("http:///x",)), "http or https", id="no host"),
        pytest.param(
            lambda: SiteSource(seeds=("http://a/",), max_depth=-1), "max_depth", id="depth"
        ),
        pytest.param(
            lambda: SiteSource(seeds=("http://a/",), max_pages=0), "max_pages", id="pages"
        ),
        pytest.param(
            lambda: SiteSource(seeds=("http://a/",), max_page_bytes=0), "max_page_bytes", id="bytes"
        ),
        pytest.param(lambda: TableSource(path=""), "path must name", id="no path"),
        pytest.param(
            lambda: TableSource(path="x", url_column="a", caption_column="a"),
            "caption_column must not be",
            id="one column twice",
        ),
        pytest.param(
            lambda: HarvestConfig(source=TableSource(path="x"), web=WEB, num_files=0),
            "num_files",
            id="no file",
        ),
        pytest.param(
            lambda: HarvestConfig(source=TableSource(path="x"), texts=()),
            "texts must name at least one kind",
            id="no texts",
        ),
        *(
            pytest.param(
                lambda name=name: WebConfig(hosts={name: HostConfig()}),
                "hosts must name hosts as URLs do",
                id=f"host {name!r}",
            )
            for name in (
                "",
                "*",
                "CDN.example",
                "*cdn.example",
                "http://cdn.example",
                "a.example:80",
            )
        ),
        *(
            pytest.param(
                lambda proxy=proxy: WebConfig(proxy=proxy),
                "proxy must be like",
                id=f"proxy {proxy}",
            )
            for proxy in ("proxy.example", "proxy.example:3128", "ftp://a:1", "socks5://a:1")
        ),
        *(
            pytest.param(
                lambda name=name: HostConfig(**{name: 0}),  # pyright: ignore[reportArgumentType]
                f"{name} must be above 0",
                id=f"a host's {name}",
            )
            for name in ("requests_per_second", "connections_per_host", "host_seconds")
        ),
        pytest.param(lambda: FetchConfig(web=WEB, quality=0), "1 to 100", id="q 0"),
        pytest.param(lambda: FetchConfig(web=WEB, quality=101), "1 to 100", id="q 101"),
        pytest.param(
            lambda: FetchConfig(web=WEB, max_pixels=PILLOW_LIMIT_PX + 1),
            "max_pixels must be from 1",
            id="more pixels than Pillow reads",
        ),
        *(
            pytest.param(
                lambda name=name: FetchConfig(web=WEB, **{name: 0}),  # pyright: ignore[reportArgumentType]
                f"{name} must be above 0",
                id=name,
            )
            for name in ("size_px", "max_bytes", "images_per_shard", "large_host", "limit")
        ),
        *(
            pytest.param(
                lambda count=count: FetchConfig(web=WEB, num_buckets=count),
                "num_buckets must be from 1 to 65536",
                id=f"{count} buckets",
            )
            for count in (0, MAX_BUCKETS + 1)
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_bounds_themselves_are_taken() -> None:
    assert SiteSource(seeds=("HTTP://a/",), max_depth=0).max_depth == 0
    assert FetchConfig(web=WEB, quality=1, max_pixels=PILLOW_LIMIT_PX)
    assert FetchConfig(web=WEB, quality=100, max_pixels=1)


def test_the_papers_values_are_the_defaults() -> None:
    assert FetchConfig(web=WEB).size_px == 346
