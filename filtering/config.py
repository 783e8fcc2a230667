"""Settings of `filter` (alt-texts, before images are fetched) and `select` (images, after)."""

from dataclasses import dataclass, field
from typing import Literal

from openalign.filtering.thresholds import Frequent, TopK
from openalign.settings.fields import location, renamed, runtime
from openalign.settings.limits import above, at_least, not_negative, within

_MAX_BUCKETS = 1 << 15
_BUCKETS_RENAMED = {"num_buckets": "it is called `count_buckets` here"}


LanguageFrom = Literal["page", "text", "page_or_text"]
"""What names the language of an alt-text."""


@renamed(
    {
        "top_k": "write `frequent: {kind: top_k, k: N}`",
        "min_count": "write `frequent: {kind: min_count, at_least: N}`",
        "coverage": "write `frequent: {kind: coverage, share: S}`",
    }
)
@dataclass(frozen=True, slots=True, kw_only=True)
class TextRules:
    """Text-based filtering (ALIGN §3). Every bound names the last value that is kept."""

    languages: tuple[str, ...] = ("en",)
    """Keep an alt-text only from a page in one of these languages; an empty list keeps all."""

    language_from: LanguageFrom = "page"
    """What names an alt-text's language: its `page`, its `text` alone (which
    `harvest.detect_languages` has to detect), or its text where its page names none."""

    keep_unknown_language: bool = True
    """Keep alt-texts whose language is unknown, as that of rows of a table often is."""

    max_images_per_alt_text: int = 10
    """Drop an alt-text that stands on more different images than this."""

    max_alt_texts_per_image: int = 1000
    """Drop an image (a canonical URL) with more different alt-texts than this."""

    min_unigrams: int = 3
    """Drop an alt-text with fewer words than this."""

    max_unigrams: int = 20
    """Drop an alt-text with more words than this."""

    frequent: Frequent = field(default_factory=TopK)
    """Drop an alt-text with a unigram or bigram that is not frequent in the raw corpus; unigrams
    and bigrams are counted in one list."""

    def __post_init__(self) -> None:
        at_least(
            1,
            max_images_per_alt_text=self.max_images_per_alt_text,
            max_alt_texts_per_image=self.max_alt_texts_per_image,
            min_unigrams=self.min_unigrams,
        )
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


@renamed(_BUCKETS_RENAMED)
@dataclass(frozen=True, slots=True, kw_only=True)
class FilterConfig:
    """The `filter` stage."""

    text: TextRules = field(default_factory=TextRules)
    """Which alt-texts are kept."""

    count_buckets: int = runtime(256)
    """Pieces that the counts are cut into; more of them need less memory a worker."""

    def __post_init__(self) -> None:
        within(1, _MAX_BUCKETS, count_buckets=self.count_buckets)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRules:
    """Image-based filtering (ALIGN §3). Names say which side of the bound is kept."""

    short_side_above_px: int = 200
    """Keep an image only if its shorter side is longer than this; 200 itself is dropped."""

    aspect_ratio_below: float = 3.0
    """Keep an image only if long side / short side is smaller than this; 3.0 is dropped. It is
    above 1.0, the ratio of a square."""

    max_alt_texts: int = 1000
    """Drop an image (the same bytes, under any address) with more different alt-texts than this."""

    def __post_init__(self) -> None:
        not_negative(short_side_above_px=self.short_side_above_px)
        above(1.0, aspect_ratio_below=self.aspect_ratio_below)
        at_least(1, max_alt_texts=self.max_alt_texts)

    @property
    def header_bounds(self) -> dict[str, float]:
        """The bounds that an image's header can be held against, by their names."""
        return {
            "short_side_above_px": self.short_side_above_px,
            "aspect_ratio_below": self.aspect_ratio_below,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates:
    """What counts as a copy of a held-out benchmark image (ALIGN §3 and appendix A)."""

    method: Literal["exact", "phash"] = "phash"
    """`exact`: the same bytes (sha256). `phash`: luminance hashes within `radius_bits`; it finds
    re-encoded and resized copies, and cannot tell recolored images apart."""

    radius_bits: int = 6
    """For `phash`: largest number of differing bits, of 64, between copies, from 0 to 15. Unrelated
    images differ in about 32, and some in few."""

    def __post_init__(self) -> None:
        within(0, 15, radius_bits=self.radius_bits)


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


@renamed(_BUCKETS_RENAMED)
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

    count_buckets: int = runtime(256)
    """Pieces that the counts are cut into; more of them need less memory a worker."""

    def __post_init__(self) -> None:
        at_least(1, num_files=self.num_files)
        within(1, _MAX_BUCKETS, count_buckets=self.count_buckets)
