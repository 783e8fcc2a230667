"""Records about a stage's result, as its manifest keeps them, and about the stage itself.

A manifest stores facts as JSON; `Manifest.facts_as` reads them back. Funnel, report and summary see
these records and import no stage's modules.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that one stage keeps about its result."""

    @property
    def other_counts(self) -> dict[str, int]:
        """Counts of things that are not rows, such as a crawl's pages by how they ended."""
        return {}


class DamagedFile(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A file of a stage's input that could not be read, or not to its end."""

    name: str
    """Relative to what the settings name, so that it is the same on every machine."""

    reason: str


class StageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What rooms below `run` know of a stage: its name and how its rows can end."""

    name: str
    title: str
    """What it does, in a few words."""

    goes_on: str
    """The state of the rows that the next stage reads."""

    drops: tuple[str, ...]
    """The other states, in the order in which they are decided; empty outside the funnel."""

    shows_all_drops: bool = True
    """Whether states without rows are shown. A rule that dropped nothing is worth a line; a network
    failure that did not happen is not."""

    row_files: str = ""
    """Prefix of the files that hold a row for each input, with its state; empty where the manifest
    itself has examples."""


# Judging ------------------------------------------------------------------------------------------


class RuleEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule did."""

    rule: str
    dropped: int
    """Rows that it dropped as the first rule that applied."""

    alone: int
    """Rows that it would drop if it were the only rule."""

    only: int
    """Rows that no other rule would drop."""


class DroppedExample(msgspec.Struct, frozen=True, kw_only=True):
    """A row that a rule dropped."""

    key: str
    alt_text: str
    image_url: str


class FrequentText(msgspec.Struct, frozen=True, kw_only=True):
    """An alt-text that stands on many images, and one row with it."""

    rule: str
    """The rule that dropped its rows."""

    rows: int
    key: str
    alt_text: str
    image_url: str


class HostRows(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows point at a host, and how many of them were kept."""

    host: str
    rows: int
    kept: int


class JudgedFacts(Facts, frozen=True, kw_only=True):
    """Facts of every stage that judges rows."""

    rules: list[RuleEffect] = []
    examples: dict[str, list[DroppedExample]] = {}
    """By rule."""

    top_texts: list[FrequentText] = []
    top_hosts: list[HostRows] = []


# One record a stage -------------------------------------------------------------------------------


class SiteFacts(Facts, frozen=True, kw_only=True):
    """The demo's site."""

    splits: dict[str, int]
    """Images of the benchmark by split."""


class CountedValue(msgspec.Struct, frozen=True, kw_only=True):
    """How often a value occurs."""

    value: str
    rows: int


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """The most frequent values of something, exactly counted."""

    top: list[CountedValue] = []
    num_values: int = 0
    """How many different ones there are."""


class SourceRows(msgspec.Struct, frozen=True, kw_only=True):
    """What a file or a site gave."""

    source: str
    pages: int
    found: int
    """Pairs, whatever state they ended in."""

    candidates: int
    """Pairs that became candidates, before duplicates were collapsed."""


class HarvestSample(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate, as an example."""

    found_in: str
    key: str
    alt_text: str
    image_url: str
    page_url: str | None


class HarvestFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """Harvest. Sources aside, everything is counted over the candidates that are kept."""

    pages: dict[str, int] = {}
    """Pages that a source came across, by `PageState`."""

    bad_records: dict[str, int] = {}
    """Records of archives that gave nothing, by `RecordFault`."""

    sources: list[SourceRows] = []
    """Those that gave most."""

    num_sources: int = 0
    found_in: dict[str, int] = {}
    """By `FoundIn`, the most frequent first."""

    languages: Ranking = Ranking()
    """Of pages; empty for those that name none."""

    text_languages: Ranking = Ranking()
    """Of texts, as detected; empty for those that cannot be told."""

    hosts: Ranking = Ranking()
    """Of images."""

    samples: list[HarvestSample] = []

    @property
    def other_counts(self) -> dict[str, int]:
        """The pages, and the bad records."""
        return self.pages | self.bad_records


class NgramFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The cut between frequent and rare n-grams."""

    rule: str
    """Which n-grams are frequent, in words: `counted at least 2`."""

    count_at_cut: int
    num_tied_at_cut: int
    num_tied_kept: int
    num_kept: int
    num_occurrences: int
    num_occurrences_kept: int
    num_unigrams: int
    num_bigrams: int
    num_unigrams_kept: int
    num_bigrams_kept: int
    expected_collisions: float
    """Pairs of n-grams that share a hash."""

    expected_wrongly_kept: float
    """Rare n-grams that share a hash with a frequent one."""


class FilterFacts(JudgedFacts, frozen=True, kw_only=True):
    """Filter."""

    ngrams: NgramFacts
    num_alt_texts_on_many_images: int
    num_images_with_many_alt_texts: int


class SizeKind(StrEnum):
    """What of an image is measured."""

    SHORT_SIDE = "short_side"
    WIDTH = "width"
    HEIGHT = "height"
    NUM_BYTES = "num_bytes"


class HostImages(msgspec.Struct, frozen=True, kw_only=True):
    """How many images of a host were to be fetched, and how many were."""

    host: str
    images: int
    fetched: int
    num_bytes: int
    """Of the originals that were fetched."""


class SizeRange(msgspec.Struct, frozen=True, kw_only=True):
    """How many fetched images have a size in a range, which ends where the next one begins."""

    at_least: int
    images: int


class FetchSample(msgspec.Struct, frozen=True, kw_only=True):
    """An image, as an example of those that ended in its state."""

    state: str
    image_key: str
    image_url: str
    alt_text: str
    """The first of its texts, by key."""

    detail: str | None
    shard: str | None
    index_file: str | None
    """Says where in `shard` the image lies."""


class FetchTallies(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Images that were to be fetched, counted by what they have in common."""

    hosts_by_images: list[HostImages] = []
    """Those with the most images."""

    hosts_by_losses: list[HostImages] = []
    """Those of which the most images were not fetched."""

    num_hosts: int = 0
    statuses: dict[str, int] = {}
    """By HTTP status."""

    sizes: dict[str, list[SizeRange]] = {}
    """By `SizeKind`: fetched images by ranges of their originals' size."""

    samples: list[FetchSample] = []


class FetchRound(msgspec.Struct, frozen=True, kw_only=True):
    """A round in which some images were tried again."""

    states: list[str]
    """The states that their rows had."""

    num_inputs: int
    """Rows."""

    ended: dict[str, int]
    """Rows by the state that they have now."""


class FetchFacts(Facts, frozen=True, kw_only=True):
    """Fetch."""

    images: dict[str, int]
    """Images by `FetchState`."""

    num_bytes: int
    """Of the originals that were fetched."""

    stored_bytes: int
    """Of the tars."""

    rounds: list[FetchRound] = []
    """Those after the first try, in order."""

    tallies: FetchTallies = FetchTallies()
    """Over all images, rounds included."""


class NearDuplicateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How the stage searched for near-duplicates of held-out images."""

    method: str
    radius_bits: int
    num_held_out: int


class SelectFacts(JudgedFacts, frozen=True, kw_only=True):
    """Select."""

    near_duplicates: NearDuplicateFacts


HELD_OUT = "held_out"
"""What state pairs of a training end in whose images are validated on."""


class TrainFacts(Facts, frozen=True, kw_only=True):
    """Train."""

    steps: int
    skipped_steps: int
    sample_hash: str
    """Over the keys of every pair that was consumed, in order."""

    vocabulary_size: int
    exported_step: int | None = None
    """After how many updates the exported weights were, where they are the best in validation."""


class EvaluateFacts(Facts, frozen=True, kw_only=True):
    """Evaluate."""

    headline: Sequence[str]
    """The lines that a run ends with."""

    num_metrics: int


def counts_by(states: Mapping[str, int]) -> str:
    """Return counts in words, the ones above zero: `kept 3, duplicate 1`."""
    return ", ".join(f"{state} {count:,}" for state, count in states.items() if count)
