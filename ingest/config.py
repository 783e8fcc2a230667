"""Settings of `harvest` and `fetch`. How the web is asked is said in `web.config`."""

from dataclasses import dataclass, field
from typing import Any, Literal

from openalign.images.forms import Encoding, Resize, StoredForm
from openalign.ingest.sources.kinds import AnySource, kind_of
from openalign.ingest.web.config import OPT_OUT_SETTINGS, WebConfig
from openalign.ingest.webpage.texts import TextKind
from openalign.settings.fields import identity, renamed, runtime
from openalign.settings.limits import positive, within

PILLOW_LIMIT_PX = 178_956_970
"""Pillow takes an image with more pixels for a decompression bomb, whatever is set here."""


MAX_BUCKETS = 1 << 16
"""Cells of hosts are dealt out to buckets; with more buckets some would get none."""

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
    """How the web is asked, by a source that asks it; laid over the pipeline's `web`."""

    texts: tuple[TextKind, ...] = ("alt",)
    """Which texts of a page's images make pairs (ALIGN §3: alt-texts). The others are `title`,
    `aria_label`, `figcaption`, `area`, `og_image`, `twitter_image` and `json_ld`. Captions of
    tables always do."""

    detect_languages: bool = False
    """Whether the language of each text is told by its letters, for `filter` to judge by. It takes
    about 0.05 ms a candidate."""

    num_files: int = 64
    """Files that the candidates are written to; `filter` writes as many."""

    def __post_init__(self) -> None:
        positive(num_files=self.num_files)
        if not self.texts:
            raise ValueError("texts must name at least one kind, got none: no page gives a pair")


def settings_of_result(config: HarvestConfig) -> dict[str, Any]:
    """Return the settings that can change a byte of a harvest.

    Of the web's, all count if it is asked, and those on opt-outs if pages of archives are judged.
    Where no page is read, none of its texts are chosen.
    """
    settings = identity(config)
    kind = kind_of(config.source)
    if not kind.asks_web:
        web = settings.pop("web")
        if kind.judges_pages:
            settings["web"] = {name: web[name] for name in OPT_OUT_SETTINGS}
        else:
            del settings["texts"]
    return settings


@renamed(
    {
        "download": _SAID_ONCE % "fetch",
        "short_side_px": "write `size_px`; `resize: short_side` is the default",
        "jpeg_quality": "write `quality`",
    }
)
@dataclass(frozen=True, slots=True, kw_only=True)
class FetchConfig:
    """How images are brought in and stored."""

    web: WebConfig = field(default_factory=WebConfig)
    """How the web is asked; laid over the pipeline's `web`."""

    engine: Literal["openalign", "img2dataset"] = "openalign"
    """What downloads and resizes images from the web: this project, or img2dataset 1.47.0 in an
    environment of its own. img2dataset asks for no robots.txt and keeps to no host's pace, so
    `web.respect_robots` and `web.ask_tdmrep` must be false."""

    img2dataset_python: str = runtime(".venv-img2dataset/bin/python")
    """The Python that has img2dataset, on every machine that fetches; `make img2dataset` makes this
    one."""

    resize: Resize = "short_side"
    """`short_side`: the shorter side becomes `size_px`, the longer one keeps the ratio. `squash`:
    each side becomes `size_px`. `center_crop`: the middle square is cut out, and its side becomes
    `size_px`. `none`: the size stays. No side is made longer."""

    size_px: int = 346
    """Shorter side of a stored image (ALIGN §5: 346 for a crop of 289), or both; a side that is
    shorter stays so."""

    format: Encoding = "jpeg"
    """What stored images are encoded as. `png` loses nothing and is several times as large."""

    quality: int = 90
    """Quality of a stored JPEG or WebP."""

    keep_original: bool = False
    """Store the bytes as they came, also GIF, BMP, TIFF and AVIF. The four settings above then
    change nothing. Metadata in the files, such as places and names, stays in them."""

    max_bytes: int = 50_000_000
    """Largest file that is fetched."""

    max_pixels: int = 100_000_000
    """Largest image that is decoded; its header is judged before."""

    images_per_shard: int = 10_000
    """Images that a shard is cut from; those that cannot be fetched leave it smaller."""

    num_buckets: int = 64
    """Parts of the work. All images of a host are in one part, so one worker asks for them. Only a
    redirect from another host can bring in a second worker, with a pace of its own."""

    large_host: int = 200_000
    """Candidates above which a host is shared among several parts, each with its share of the
    host's rate and connections."""

    limit: int | None = runtime(None)
    """Candidates that are tried, about so many and no more, for a first look; the others are
    `not_tried`, and `openalign fetch NAME --retry` goes on with them. None tries all."""

    max_total_bytes: int | None = runtime(None)
    """Bytes of files that are fetched, about, each bucket its share; further images are
    `not_tried`. None fetches all."""

    removals: tuple[str, ...] = runtime(())
    """Removal lists: text files with a URL, a host, a domain as `*.host` or a sha256 a line. What
    is on one is not fetched, and `select` drops what was fetched before."""

    reject_on_header: bool = True
    """Drop an image on its header, before the body, when `select` would drop it for its shape."""

    def __post_init__(self) -> None:
        positive(
            size_px=self.size_px,
            max_bytes=self.max_bytes,
            images_per_shard=self.images_per_shard,
            large_host=self.large_host,
        )
        for name in ("limit", "max_total_bytes"):
            if getattr(self, name) is not None:
                positive(**{name: getattr(self, name)})
        within(1, MAX_BUCKETS, num_buckets=self.num_buckets)
        within(1, 100, quality=self.quality)
        within(1, PILLOW_LIMIT_PX, max_pixels=self.max_pixels)
        if self.engine == "img2dataset":
            self._require_what_img2dataset_keeps()

    def _require_what_img2dataset_keeps(self) -> None:
        asked = [f"web.{n}" for n in ("respect_robots", "ask_tdmrep") if getattr(self.web, n)]
        if asked:
            raise ValueError(
                f"engine img2dataset asks no host for its rules: {' and '.join(asked)} must be "
                "false, got true"
            )
        if self.web.proxy:
            raise ValueError(
                "engine img2dataset asks through no proxy, got web.proxy: addresses are judged "
                "where it connects"
            )
        if self.resize == "squash" and not self.keep_original:
            raise ValueError(
                "engine img2dataset cannot squash: resize must be short_side, center_crop or none"
            )

    @property
    def stored_form(self) -> StoredForm:
        """The form in which images are stored."""
        return StoredForm(
            resize=self.resize,
            size_px=self.size_px,
            format=self.format,
            quality=self.quality,
            keep_original=self.keep_original,
        )
