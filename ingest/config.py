"""Settings of `harvest` and `fetch`: where candidates come from, and how the web is asked."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Literal

from openalign.settings.fields import location, runtime, runtime_factory

PILLOW_LIMIT_PX = 178_956_970
"""Pillow takes pictures with more pixels than this for decompression bombs, whatever is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadConfig:
    """How the web is asked. Defaults are polite to hosts that are not ours.

    Contact, deadlines and retries are no part of a fingerprint: they decide what a bad network lets
    through, not what a healthy one gives, so mending them does not fetch everything again.
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
    """Further attempts after what can heal: names that do not resolve, timeouts, broken
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
    """Leave what X-Robots-Tag (noai, noimageai, noindex, none) or a TDM reservation withholds."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSource:
    """Crawl web sites from seeds; only the seeds' own hosts are visited."""

    kind: Literal["site"] = "site"
    """Which source this is."""

    seeds: tuple[str, ...]
    """Addresses of the first pages."""

    max_depth: int = 10
    """Links between a seed and a page; 0 is the seeds alone."""

    max_pages: int = 10_000
    """Pages that are asked for on one host; the first of each depth in the order of their URLs."""

    max_page_bytes: int = 10_000_000
    """Largest page."""

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ValueError("seeds must name at least one page, got none")
        for seed in self.seeds:
            if not re.match(r"(?i)https?://[^/?#\s]", seed):
                raise ValueError(f"seeds must be http or https URLs, got {seed!r}")
        if self.max_depth < 0:
            raise ValueError(f"max_depth must be at least 0, got {self.max_depth}")
        for name in ("max_pages", "max_page_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSource:
    """Read image URLs and their captions from parquet, csv or tsv files."""

    kind: Literal["table"] = "table"
    """Which source this is."""

    path: str = location()
    """A file, a folder, or several files by a pattern with stars; any fsspec URL. The ending of a
    file says which format it has."""

    url_column: str = "url"
    """Column with the images' addresses."""

    caption_column: str = "caption"
    """Column with their texts."""

    header: tuple[str, ...] = ()
    """Names of the columns of a csv or tsv that has no line of names."""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path must name a file, got nothing")
        if self.url_column == self.caption_column:
            raise ValueError(
                f"caption_column must not be the url_column, got {self.caption_column!r} for both"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestConfig:
    """How candidates are found (ALIGN §3: every image with an alt-text, as noisy as it is)."""

    source: SiteSource | TableSource
    """Where they come from."""

    download: DownloadConfig = field(default_factory=DownloadConfig)
    """How the web is asked; a table needs no asking."""

    num_files: int = 64
    """Files that the candidates are written to; `filter` keeps this cut."""

    def __post_init__(self) -> None:
        if self.num_files <= 0:
            raise ValueError(f"num_files must be above 0, got {self.num_files}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchConfig:
    """How images are brought in and stored."""

    download: DownloadConfig = field(default_factory=DownloadConfig)
    """How the web is asked."""

    short_side_px: int = 346
    """Shorter side of a stored image (ALIGN §5: 346 for a crop of 289); smaller ones stay so."""

    jpeg_quality: int = 90
    """Quality of a stored image."""

    max_bytes: int = 50_000_000
    """Largest file that is fetched."""

    max_pixels: int = 100_000_000
    """Largest picture that is decoded; its header is judged before."""

    images_per_shard: int = 10_000
    """Images that a shard is cut from; those that cannot be fetched leave it smaller."""

    num_buckets: int = 64
    """Parts of the work. All images of a host fall into one, so that one worker asks for them; only
    a redirect from another host can bring in a second worker, with a pace of its own."""

    reject_on_header: bool = True
    """Drop an image on its header, before the body, when `select` would drop it for its shape."""

    def __post_init__(self) -> None:
        for name in ("short_side_px", "max_bytes", "images_per_shard", "num_buckets"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must be from 1 to 100, got {self.jpeg_quality}")
        if not 1 <= self.max_pixels <= PILLOW_LIMIT_PX:
            raise ValueError(
                f"max_pixels must be from 1 to {PILLOW_LIMIT_PX}, got {self.max_pixels}"
            )
