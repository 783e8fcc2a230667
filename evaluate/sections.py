"""What the report's templates show: results, examples and pictures as texts ready to print."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate import composed
from openalign.evaluate.examples import ComposedExamples, DatasetExamples, Examples
from openalign.evaluate.galleries import Pictures, Shown, Thumbnails
from openalign.evaluate.results import DatasetFacts, Metric, Results
from openalign.files.hashing import hash64
from openalign.pages import charts

NUM_QUERIES = 8
"""Queries of each kind that are shown as drawn."""

NUM_WORST = 4
NUM_COMPOSED = 4
"""Composed queries shown of each kind."""

DIRECTIONS = {"text_to_image": "text to image", "image_to_text": "image to text"}
METHODS = {
    composed.IMAGE_ONLY: "picture alone",
    composed.TEXT_ONLY: "words alone",
    composed.COMBINED: "picture and words",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A metric as a table shows it."""

    text: str
    interval: str
    chance: str
    strip: str
    """The same as a picture; empty where there is no scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallRow:
    """One direction in one gallery."""

    direction: str
    gallery: str
    numbers: Sequence[Number]
    """Recall at 1, 5 and 10."""

    median: Number
    num_queries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSection:
    """A data set's numbers and examples."""

    facts: DatasetFacts
    rows: Sequence[RecallRow]
    headline: Sequence[tuple[str, Number]]
    text_queries: Sequence[Shown]
    worst: Sequence[Shown]
    image_queries: Sequence[Shown]
    num_sampled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSection:
    """One kind of composed query: each method's numbers, the gain, and what may be claimed."""

    kind: str
    num_queries: int
    methods: Sequence[tuple[str, Sequence[Number]]]
    gain: Sequence[Number]
    verdict: str
    is_supported: bool
    shown: Sequence[Shown]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedSection:
    """A set of composed queries."""

    name: str
    weights: str
    kinds: Sequence[KindSection]


def dataset_sections(
    results: Results, examples: Examples, thumbnails: Thumbnails
) -> list[DatasetSection]:
    """Return a section for each data set."""
    by_name = {shown.dataset: shown for shown in examples.datasets}
    return [
        _dataset_section(results, facts, by_name[facts.name], thumbnails)
        for facts in results.datasets
    ]


def composed_sections(
    results: Results, examples: Examples, thumbnails: Thumbnails
) -> list[ComposedSection]:
    """Return a section for each set of composed queries."""
    return [_composed_section(results, shown, thumbnails) for shown in examples.composed]


# Numbers ------------------------------------------------------------------------------------------


def percent(value: float) -> str:
    """Return a share as percent with one decimal, without the sign."""
    return f"{100 * value:.1f}"


def signed(share: float) -> str:
    """Return a difference of shares in points, with a sign that is as wide as a digit."""
    return f"{100 * share:+.1f}".replace("-", "\u2212")


def share_number(metric: Metric) -> Number:
    """Return a recall: percent, interval and chance."""
    words = (
        f"{percent(metric.value)} percent, from {percent(metric.low)} to {percent(metric.high)}, "
        f"chance {percent(metric.chance)}"
    )
    return Number(
        text=percent(metric.value),
        interval=f"{percent(metric.low)}\u2013{percent(metric.high)}",
        chance=_small(metric.chance),
        strip=charts.interval_strip(
            metric.value, metric.low, metric.high, metric.chance, label=words
        ),
    )


def gain_number(metric: Metric) -> Number:
    """Return a difference of two shares, in points."""
    parts = [signed(part) for part in (metric.value, metric.low, metric.high)]
    return Number(
        text=parts[0],
        interval=f"{parts[1]} to {parts[2]}",
        chance="0",
        strip=charts.gain_strip(
            metric.value,
            metric.low,
            metric.high,
            label=f"{parts[0]} points, from {parts[1]} to {parts[2]}",
        ),
    )


def rank_number(metric: Metric) -> Number:
    """Return a median rank."""
    return Number(
        text=f"{metric.value:,.0f}",
        interval=f"{metric.low:,.0f}\u2013{metric.high:,.0f}",
        chance=f"{metric.chance:,.0f}",
        strip="",
    )


def _small(share: float) -> str:
    """Return a share as percent with enough decimals to tell it from zero."""
    return f"{100 * share:.1f}" if share >= 0.0095 else f"{100 * share:.2f}"


def _dataset_section(
    results: Results, facts: DatasetFacts, shown: DatasetExamples, thumbnails: Thumbnails
) -> DatasetSection:
    texts = sorted(shown.text_to_image, key=lambda query: hash64(query.caption))
    drawn = texts[:NUM_QUERIES]
    worst = sorted(texts[NUM_QUERIES:], key=lambda query: -query.rank)[:NUM_WORST]
    pictures = Pictures(facts.name, thumbnails)
    images = sorted(shown.image_to_text, key=lambda query: hash64(query.image))[:NUM_QUERIES]
    return DatasetSection(
        facts=facts,
        rows=_recall_rows(results, facts),
        headline=_headline(results, facts),
        text_queries=[pictures.text_query(q, facts.num_images) for q in drawn],
        worst=[pictures.text_query(q, facts.num_images) for q in worst if q.rank > 1],
        image_queries=[pictures.image_query(q, facts.num_captions) for q in images],
        num_sampled=len(texts),
    )


def _recall_rows(results: Results, facts: DatasetFacts) -> list[RecallRow]:
    galleries = {
        "split": (facts.num_images, facts.num_captions),
        "gallery": (facts.num_gallery_images, facts.num_gallery_captions),
    }
    rows: list[RecallRow] = []
    for scope, (num_images, num_captions) in galleries.items():
        for direction, words in DIRECTIONS.items():
            found = results.under(f"retrieval/{facts.name}/{scope}/{direction}")
            if not found:
                continue
            size = num_images if direction == "text_to_image" else num_captions
            what = "pictures" if direction == "text_to_image" else "captions"
            of_split = scope == "split"
            where = f"the {size:,} {what} of {facts.split}" if of_split else f"all {size:,} {what}"
            rows.append(
                RecallRow(
                    direction=words,
                    gallery=where,
                    numbers=[share_number(m) for m in found if m.last != "median_rank"],
                    median=rank_number(next(m for m in found if m.last == "median_rank")),
                    num_queries=found[0].n,
                )
            )
    return rows


def _headline(results: Results, facts: DatasetFacts) -> list[tuple[str, Number]]:
    """Return the numbers that the page opens with."""
    prefix = f"retrieval/{facts.name}/split"
    chosen = [
        (f"text to image, R@{k}", f"{prefix}/text_to_image/recall_at_{k}") for k in (1, 5, 10)
    ]
    chosen.append(("image to text, R@1", f"{prefix}/image_to_text/recall_at_1"))
    return [(words, share_number(results.metric(name))) for words, name in chosen]


def _composed_section(
    results: Results, shown: ComposedExamples, thumbnails: Thumbnails
) -> ComposedSection:
    pictures = Pictures(shown.dataset, thumbnails)
    prefix = f"composed/{shown.name}"
    kinds = dict.fromkeys(m.name.split("/")[2] for m in results.under(prefix))
    return ComposedSection(
        name=shown.name,
        weights=f"{shown.image_weight:g} : {shown.plus_weight:g} : {shown.minus_weight:g}",
        kinds=[
            _kind_section(
                results,
                f"{prefix}/{kind}",
                [pictures.composed_query(q) for q in shown.queries if q.kind == kind],
            )
            for kind in kinds
        ],
    )


def _kind_section(results: Results, prefix: str, shown: Sequence[Shown]) -> KindSection:
    gains = results.under(f"{prefix}/{composed.GAIN}")
    return KindSection(
        kind=prefix.rpartition("/")[2],
        num_queries=gains[0].n,
        methods=[
            (words, [share_number(m) for m in results.under(f"{prefix}/{method}")])
            for method, words in METHODS.items()
        ],
        gain=[gain_number(metric) for metric in gains],
        verdict=verdict(gains[0]),
        is_supported=composed.is_supported(gains[0]),
        shown=shown[:NUM_COMPOSED],
    )


def verdict(gain: Metric) -> str:
    """Say what the interval of a gain in top-1 over the picture alone shows."""
    points = f"{signed(gain.low)} to {signed(gain.high)} points"
    if composed.is_supported(gain):
        return f"The words help: top-1 gains {points} over the picture alone."
    if gain.high < 0:
        return f"The words hurt: top-1 is {points} off the picture alone's."
    return f"No claim: the gain in top-1 over the picture alone may be zero or below ({points})."
