"""Settings of `harvest` and `fetch`: where candidates come from, and how the web is asked."""

import re
from dataclasses import dataclass, field
from typing import Literal

from openalign.ingest.web.config import WebConfig
from openalign.settings.fields import location, renamed

PILLOW_LIMIT_PX = 178_956_970
"""Pillow takes pictures with more pixels than this for decompression bombs, whatever is set."""


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


_SAID_ONCE = (
    "write `web: {...}` once in the pipeline; what one stage alone needs stands under `%s.web`"
)


@renamed({"download": _SAID_ONCE % "harvest"})
@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestConfig:
    """How candidates are found (ALIGN §3: every image with an alt-text, as noisy as it is)."""

    source: SiteSource | TableSource
    """Where they come from."""

    web: WebConfig = field(default_factory=WebConfig)
    """How the web is asked; a table needs no asking."""

    num_files: int = 64
    """Files that the candidates are written to; `filter` keeps this cut."""

    def __post_init__(self) -> None:
        if self.num_files <= 0:
            raise ValueError(f"num_files must be above 0, got {self.num_files}")


@renamed({"download": _SAID_ONCE % "fetch"})
@dataclass(frozen=True, slots=True, kw_only=True)
class FetchConfig:
    """How images are brought in and stored."""

    web: WebConfig = field(default_factory=WebConfig)
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
