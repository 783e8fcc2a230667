"""Settings of `filter` (alt-texts, before images are fetched) and `select` (images, after)."""

from dataclasses import dataclass, field
from typing import Literal

from openalign.settings.fields import location, renamed, runtime

_PAPER_TOP_K = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRules:
    """Text-based filtering (ALIGN §3). Every bound names the last value that is kept."""

    languages: tuple[str, ...] = ("en",)
    """Keep an alt-text only from a page in one of these languages; an empty list keeps all."""

    keep_unknown_language: bool = True
    """Keep alt-texts from pages that do not say their language, as rows of a table never do."""

    max_images_per_alt_text: int = 10
    """Drop an alt-text that stands on more different images than this."""

    max_alt_texts_per_image: int = 1000
    """Drop an image (a canonical URL) with more different alt-texts than this."""

    min_unigrams: int = 3
    """Drop an alt-text with fewer words than this."""

    max_unigrams: int = 20
    """Drop an alt-text with more words than this."""

    top_k: int | None = _PAPER_TOP_K
    """Drop an alt-text with a unigram or bigram outside this many most frequent ones, taken
    together, of the raw corpus; ties at the cut go by hash, so there are exactly this many."""

    min_count: int | None = None
    """In place of `top_k`: drop an alt-text with a unigram or bigram seen fewer times than this."""

    coverage: float | None = None
    """In place of `top_k`: keep the most frequent unigrams and bigrams, ties included, that make
    up at least this share of all occurrences."""

    def __post_init__(self) -> None:
        for name in ("max_images_per_alt_text", "max_alt_texts_per_image", "min_unigrams"):
            _at_least_one(name, getattr(self, name))
        if self.max_unigrams < self.min_unigrams:
            raise ValueError(
                f"max_unigrams must be at least min_unigrams ({self.min_unigrams}), "
                f"got {self.max_unigrams}: no alt-text could be kept"
            )
        for language in self.languages:
            if not (language.isalpha() and language.islower()):
                raise ValueError(
                    f"languages must be primary subtags such as en or zh, got {language!r}: "
                    "pages are judged by the primary subtag, in lower case"
                )
        self._check_threshold()

    def _check_threshold(self) -> None:
        given = [name for name in ("min_count", "coverage") if getattr(self, name) is not None]
        if given and self.top_k == _PAPER_TOP_K:
            object.__setattr__(self, "top_k", None)  # the default gives way to what was chosen
        given += ["top_k"] if self.top_k is not None else []
        if len(given) != 1:
            raise ValueError(
                f"one of top_k, min_count and coverage must be set, got {' and '.join(given)}: "
                "set the others to null"
                if given
                else "one of top_k, min_count and coverage must be set, got none of them"
            )
        if self.coverage is not None and not 0.0 < self.coverage <= 1.0:
            raise ValueError(
                f"coverage must be above 0.0 and at most 1.0, got {self.coverage}: it is a share"
            )
        for name in ("top_k", "min_count"):
            if getattr(self, name) is not None:
                _at_least_one(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterConfig:
    """The `filter` stage."""

    text: TextRules = field(default_factory=TextRules)
    """Which alt-texts are kept."""

    num_buckets: int = runtime(256)
    """Pieces that the counts are cut into; more of them need less memory a worker."""

    def __post_init__(self) -> None:
        if not 1 <= self.num_buckets <= 1 << 15:
            raise ValueError(f"num_buckets must be from 1 to 32768, got {self.num_buckets}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRules:
    """Image-based filtering (ALIGN §3). Names say which side of the bound is kept."""

    short_side_above_px: int = 200
    """Keep an image only if its shorter side is longer than this; 200 itself is dropped."""

    aspect_ratio_below: float = 3.0
    """Keep an image only if long side / short side is smaller than this; 3.0 is dropped."""

    max_alt_texts: int = 1000
    """Drop an image (the same bytes, under any address) with more different alt-texts than this."""

    def __post_init__(self) -> None:
        if self.short_side_above_px < 0:
            raise ValueError(
                f"short_side_above_px must be at least 0, got {self.short_side_above_px}"
            )
        if self.aspect_ratio_below <= 1.0:
            raise ValueError(
                f"aspect_ratio_below must be above 1.0, got {self.aspect_ratio_below}: "
                "no image has a ratio below 1, so every image would be dropped"
            )
        _at_least_one("max_alt_texts", self.max_alt_texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates:
    """What counts as a copy of a held-out benchmark picture (ALIGN §3 and appendix A)."""

    method: Literal["exact", "phash"] = "phash"
    """`exact`: the same bytes (sha256). `phash`: luminance hashes within `radius_bits`; it finds
    re-encoded and resized copies, and cannot tell recolored pictures apart."""

    radius_bits: int = 6
    """For `phash`: largest number of differing bits, of 64, between copies."""

    def __post_init__(self) -> None:
        if not 0 <= self.radius_bits <= 15:
            raise ValueError(
                f"radius_bits must be from 0 to 15, got {self.radius_bits}: "
                "unrelated pictures differ in about 32 bits of 64, and some in few"
            )


_BENCHMARK = "name the data set under `benchmarks:`, then write `{benchmark: NAME, splits: [...]}`"


@renamed({"path": _BENCHMARK, "images": _BENCHMARK})
@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A benchmark whose images must stay out of training."""

    benchmark: str = location()
    """A name under `benchmarks:`."""

    splits: tuple[str, ...] = ("val", "test")
    """Which of its splits are held out."""

    def __post_init__(self) -> None:
        if not self.splits:
            raise ValueError("splits must name at least one split, got none: nothing is held out")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectConfig:
    """The `select` stage."""

    image: ImageRules = field(default_factory=ImageRules)
    """Which images are kept."""

    near_duplicates: NearDuplicates = field(default_factory=NearDuplicates)
    """What counts as a copy of a held-out image."""

    held_out: tuple[HeldOut, ...] = ()
    """Benchmarks whose images, and copies of them, are taken out of training."""

    num_files: int = 64
    """Files that the training pairs and the decisions are each written to."""

    num_buckets: int = runtime(256)
    """Pieces that the counts are cut into; more of them need less memory a worker."""

    def __post_init__(self) -> None:
        _at_least_one("num_files", self.num_files)
        if not 1 <= self.num_buckets <= 1 << 15:
            raise ValueError(f"num_buckets must be from 1 to 32768, got {self.num_buckets}")


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
