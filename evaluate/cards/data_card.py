"""The data card: where a run's pairs are from, what each rule dropped, what they do not suit."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from openalign.evaluate.cards.front_matter import to_yaml
from openalign.evaluate.cards.rendering import write_card
from openalign.files.facts import HarvestFacts, HostRows, NearDuplicateFacts, SelectFacts
from openalign.files.manifest import DataFile, Manifest
from openalign.files.names import DATA_CARD
from openalign.files.states import FetchState, PageState
from openalign.pages.funnel import FunnelStage

_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
    (math.inf, "n>1T"),
)
"""The hub's categories of size, each with the number that it ends below."""

_HOSTS = 10
"""Hosts that are named."""


class AskedWeb(msgspec.Struct, frozen=True):
    """What the card tells of a stage's settings `web`; None where they do not say."""

    respect_robots: bool | None = None
    respect_opt_outs: bool | None = None


class HarvestSettings(msgspec.Struct, frozen=True):
    """What the card tells of the settings of `harvest`."""

    source: dict[str, Any] = {}
    web: AskedWeb | None = None
    """None for a source that asks no host."""


class _FetchSection(msgspec.Struct, frozen=True):
    web: AskedWeb | None = None
    """None for images that a source had already."""


class FetchSettings(msgspec.Struct, frozen=True):
    """What the card tells of the settings of `fetch`."""

    fetch: _FetchSection = _FetchSection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """How a run's pairs were gathered."""

    harvest: Manifest
    fetch: Manifest
    select: Manifest
    funnel: Sequence[FunnelStage]
    manifests: Mapping[str, Manifest]
    """Those of all stages that gathered them, by name and in order: their settings are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOuts:
    """Whether owners' wishes were asked for, and what they withheld."""

    pages: AskedWeb | None
    """How pages were asked; None where none was."""

    images: AskedWeb | None
    """How images were asked for; None where they were there already."""

    num_pages_denied: int
    """Pages that robots.txt closes."""

    num_denied: int
    """Pairs whose image robots.txt closes."""

    num_opted_out: int
    """Pairs whose image its own headers withhold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCard:
    """Everything that the template shows."""

    title: str
    num_candidates: int
    """Rows that harvest saw."""

    num_pairs: int
    source: str
    """Settings of the source, as YAML."""

    pages: Mapping[str, int]
    """Pages that a crawl came across, by how they ended."""

    hosts: Sequence[HostRows]
    """The hosts with most of the pairs; images without an address have none."""

    funnel: Sequence[FunnelStage]
    opt_outs: OptOuts
    near_duplicates: NearDuplicateFacts
    settings: Sequence[tuple[str, str]]
    """Each stage's settings, as indented JSON."""

    credits: Sequence[str]


def write(
    gathered: Gathered,
    *,
    output: str,
    title: str,
    credits: Sequence[str],  # noqa: A002  # the name of the setting
) -> DataFile:
    """Write the card of the training pairs of a run."""
    facts = gathered.select.facts_as(SelectFacts)
    settings = msgspec.convert(_settings(gathered.harvest), HarvestSettings)
    num_pairs = gathered.select.num_outputs
    card = DataCard(
        title=title,
        num_candidates=gathered.harvest.num_inputs,
        num_pairs=num_pairs,
        source=to_yaml(settings.source),
        pages=gathered.harvest.facts_as(HarvestFacts).pages,
        hosts=sorted(
            (host for host in facts.top_hosts if host.host),
            key=lambda host: (-host.kept, host.host),
        )[:_HOSTS],
        funnel=gathered.funnel,
        opt_outs=_opt_outs(gathered, settings),
        near_duplicates=facts.near_duplicates,
        settings=[
            (name, json.dumps(_settings(manifest), indent=2, ensure_ascii=False))
            for name, manifest in gathered.manifests.items()
        ],
        credits=credits,
    )
    return write_card(output, DATA_CARD, metadata=_metadata(title, num_pairs), card=card)


def size_category(num_pairs: int) -> str:
    """Return what the hub calls a data set of this size."""
    return next(name for bound, name in _SIZES if num_pairs < bound)


def _metadata(title: str, num_pairs: int) -> dict[str, Any]:
    return {
        "pretty_name": title,
        "license": "unknown",  # a pair's license is its page's, which nobody has asked for
        "size_categories": [size_category(num_pairs)],
        "task_categories": ["zero-shot-image-classification", "image-to-text", "text-to-image"],
        "annotations_creators": ["found"],
        "language_creators": ["found"],
        "source_datasets": ["original"],
        "tags": ["image-text-pairs", "alt-text", "openalign"],
    }


def _opt_outs(gathered: Gathered, settings: HarvestSettings) -> OptOuts:
    pages = gathered.harvest.facts_as(HarvestFacts).pages
    states = gathered.fetch.states
    return OptOuts(
        pages=settings.web,
        images=msgspec.convert(_settings(gathered.fetch), FetchSettings).fetch.web,
        num_pages_denied=pages.get(PageState.ROBOTS_DENIED, 0),
        num_denied=states.get(FetchState.ROBOTS_DENIED, 0),
        num_opted_out=states.get(FetchState.OPTED_OUT, 0),
    )


def _settings(manifest: Manifest) -> Any:
    return manifest.settings.get("settings")
