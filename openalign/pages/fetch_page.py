"""The page of a fetch, from what its manifest holds: one file without a script."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from openalign.amounts import bytes_in_words
from openalign.files.facts import FetchFacts, FetchSample, HostImages, SizeKind, SizeRange
from openalign.files.states import CAN_HEAL, FetchState
from openalign.images.thumbnails import webp_url
from openalign.pages.counts import CountLine, count_lines, most_first
from openalign.pages.templating import environment, page_style, templates_in

MEANINGS: dict[str, str] = {
    FetchState.FETCHED: "stored, or found where it lies",
    FetchState.NOT_TRIED: "beyond the limit or the budget of a first try",
    FetchState.REMOVED: "on a removal list",
    FetchState.BAD_URL: "no http address, or one with a password",
    FetchState.NOT_THERE: "its file is gone, or may not be read",
    FetchState.ROBOTS_DENIED: "robots.txt withholds it",
    FetchState.OPTED_OUT: "its owner withholds it from use, or from training",
    FetchState.PRIVATE_ADDRESS: "it leads into a private network",
    FetchState.DNS_FAILURE: "the host's name was not found",
    FetchState.CONNECT_FAILURE: "the host took no connection, or answered with no HTTP",
    FetchState.TLS_FAILURE: "no secure connection: a bad certificate, or another TLS",
    FetchState.TIMEOUT: "the host did not answer in time, or too slowly",
    FetchState.ASKED_TO_WAIT: "the host asks for a longer pause than is kept",
    FetchState.OUT_OF_BUDGET: "the host has taken all of its time",
    FetchState.HEADER_TOO_LARGE: "the header of the answer is too long",
    FetchState.TOO_MANY_REDIRECTS: "it leads from one address to another without end",
    FetchState.HTTP_GONE: "the host says that it is not there, or not any more",
    FetchState.HTTP_CLIENT_ERROR: "the host refuses it",
    FetchState.HTTP_UNEXPECTED: "an answer that neither gives nor refuses it",
    FetchState.HTTP_SERVER_ERROR: "the host is out of order, or asks for patience",
    FetchState.TOO_LARGE: "its file is larger than the largest that is fetched",
    FetchState.TRUNCATED: "its file arrived in part, or cannot be unpacked",
    FetchState.NOT_AN_IMAGE: "something else than an image that can be read",
    FetchState.UNDECODED_FORMAT: "an image of a format that is not decoded",
    FetchState.TOO_MANY_PIXELS: "larger than the largest image that is decoded",
    FetchState.DECODE_FAILURE: "an image that is broken",
    FetchState.HASH_MISMATCH: "another file than the one that was promised",
    FetchState.SHORT_SIDE: "too small to train on, as its header says",
    FetchState.ASPECT_RATIO: "too long for its width to train on, as its header says",
}
"""What the states mean, in a few words; one without words is shown by its name alone."""

STEPS: dict[str, tuple[FetchState, ...]] = {
    "allowed to be asked for": (
        FetchState.NOT_TRIED,
        FetchState.REMOVED,
        FetchState.BAD_URL,
        FetchState.NOT_THERE,
        FetchState.ROBOTS_DENIED,
        FetchState.PRIVATE_ADDRESS,
        FetchState.ASKED_TO_WAIT,
        FetchState.OUT_OF_BUDGET,
    ),
    "answered": (
        FetchState.DNS_FAILURE,
        FetchState.CONNECT_FAILURE,
        FetchState.TLS_FAILURE,
        FetchState.TIMEOUT,
    ),
    "given": (
        FetchState.TOO_MANY_REDIRECTS,
        FetchState.HTTP_GONE,
        FetchState.HTTP_CLIENT_ERROR,
        FetchState.HTTP_SERVER_ERROR,
        FetchState.HTTP_UNEXPECTED,
        FetchState.HEADER_TOO_LARGE,
        FetchState.OPTED_OUT,
    ),
    "whole images": (
        FetchState.TOO_LARGE,
        FetchState.TRUNCATED,
        FetchState.NOT_AN_IMAGE,
        FetchState.UNDECODED_FORMAT,
        FetchState.TOO_MANY_PIXELS,
        FetchState.DECODE_FAILURE,
        FetchState.HASH_MISMATCH,
    ),
    "of a size to train on": (FetchState.SHORT_SIDE, FetchState.ASPECT_RATIO),
}
"""What is left of the images, step by step, and the states of those that each step loses."""

_SIZE_TITLES = {
    SizeKind.SHORT_SIDE: "Shorter side",
    SizeKind.WIDTH: "Width",
    SizeKind.HEIGHT: "Height",
    SizeKind.NUM_BYTES: "File",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A state other than `fetched`, with examples of its images."""

    line: CountLine
    can_heal: bool
    rows: int
    """Candidates."""

    examples: list[FetchSample]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownImage:
    """A fetched image."""

    sample: FetchSample
    src: str
    """Empty where there is no small copy of it."""


def render(
    facts: FetchFacts,
    *,
    states: Mapping[str, int],
    thumbnails: Mapping[str, bytes],
    settings: Mapping[str, Any],
) -> str:
    """Return the page; `states` are those of candidates, `thumbnails` are WebP by image key."""
    num_images = sum(facts.images.values())
    made = environment(templates_in("openalign.pages"), is_html=True)
    made.filters["bytes"] = bytes_in_words
    tallies = facts.tallies
    return made.get_template("fetch.html").render(
        style=page_style(),
        facts=facts,
        tallies=tallies,
        num_candidates=sum(states.values()),
        num_images=num_images,
        num_fetched=facts.images.get(FetchState.FETCHED, 0),
        steps=_steps(facts.images, num_images),
        reasons=_reasons(facts, states, num_images),
        num_can_heal=sum(facts.images.get(state, 0) for state in CAN_HEAL),
        statuses=_statuses(tallies.statuses),
        hosts={
            "Most images": tallies.hosts_by_images,
            "Most images lost": tallies.hosts_by_losses,
        },
        percent=_percent_fetched,
        sizes=_sizes(tallies.sizes),
        rounds=[(found.num_inputs, _in_words(found.ended)) for found in facts.rounds],
        shown=[
            ShownImage(sample=sample, src=webp_url(small) if small else "")
            for sample in tallies.samples
            if sample.state == FetchState.FETCHED
            for small in [thumbnails.get(sample.image_key)]
        ],
        settings=json.dumps(settings, indent=2, ensure_ascii=False),
    )


def _steps(images: Mapping[str, int], num_images: int) -> list[CountLine]:
    left = num_images
    counts = {"named by candidates": left}
    for step, states in STEPS.items():
        left -= sum(images.get(state, 0) for state in states)
        counts[step] = left
    counts["fetched"] = images.get(FetchState.FETCHED, 0)
    return count_lines(counts, num_images, meanings={})


def _reasons(facts: FetchFacts, states: Mapping[str, int], num_images: int) -> list[Reason]:
    lost = {name: n for name, n in facts.images.items() if name != FetchState.FETCHED}
    return [
        Reason(
            line=line,
            can_heal=line.name in CAN_HEAL,
            rows=states.get(line.name, 0),
            examples=[each for each in facts.tallies.samples if each.state == line.name],
        )
        for line in count_lines(most_first(lost), num_images, meanings=MEANINGS)
    ]


def _statuses(counts: Mapping[str, int]) -> list[CountLine]:
    phrases = {str(status.value): status.phrase for status in HTTPStatus}
    return count_lines(counts, sum(counts.values()), meanings=phrases)


def _percent_fetched(host: HostImages) -> float:
    return 100 * host.fetched / host.images


def _sizes(sizes: Mapping[str, Sequence[SizeRange]]) -> dict[str, list[CountLine]]:
    """Return the ranges of each kind of size, in words; those without images are left out."""
    return {
        _SIZE_TITLES[kind]: count_lines(
            {_from(each.at_least, kind): each.images for each in ranges},
            sum(each.images for each in ranges),
            meanings={},
        )
        for kind in SizeKind
        if (ranges := sizes.get(kind, ()))
    }


def _from(at_least: int, kind: SizeKind) -> str:
    if kind is SizeKind.NUM_BYTES:
        return f"from {bytes_in_words(at_least)}"
    return f"from {at_least:,} px"


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in most_first(counts).items())
