"""Settings of `harvest` and `fetch`: where candidates come from, and how the web is asked."""

from dataclasses import dataclass, field

from openalign.ingest.sources.kinds import AnySource
from openalign.ingest.web.config import WebConfig
from openalign.settings.fields import renamed

PILLOW_LIMIT_PX = 178_956_970
"""Pillow takes images with more pixels than this for decompression bombs, whatever is set."""


_SAID_ONCE = (
    "write `web: {...}` once in the pipeline; what one stage alone needs stands under `%s.web`"
)


@renamed({"download": _SAID_ONCE % "harvest"})
@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestConfig:
    """How candidates are found (ALIGN §3: every image with an alt-text, as noisy as it is)."""

    source: AnySource
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
    """Largest image that is decoded; its header is judged before."""

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
