"""The page of a harvest, from what its manifest holds: one file, without a script or an image."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openalign.files.facts import DamagedFile, HarvestFacts, HarvestSample, Ranking
from openalign.files.states import HarvestState, PageState, RecordFault
from openalign.pages.templating import environment, page_style, templates_in

NO_LANGUAGE = "not named"
NO_TEXT_LANGUAGE = "not told"

NUM_DAMAGED = 20
"""Damaged files that are named; the manifest names all."""

MEANINGS: dict[str, str] = {
    HarvestState.KEPT: "written",
    HarvestState.DUPLICATE: "the same image and text was found before",
    HarvestState.NO_ALT_TEXT: "the image has no text",
    HarvestState.DATA_URL: "the image stands inside the page",
    HarvestState.BAD_URL: "no http address, or one with a password",
    HarvestState.BAD_ROW: "a row of a table that cannot be told apart into cells",
    HarvestState.LEFT_OUT: "a row or an image that the source's conditions leave out",
    HarvestState.NO_IMAGE: "a text without an image",
    HarvestState.BAD_TEXT: "a text or JSON object that cannot be read",
    HarvestState.NOT_THERE: "a table names a file that is not there",
    HarvestState.SCATTERED: "a sample whose members do not lie side by side",
    PageState.PARSED: "read",
    PageState.CUT: "only a part of it was read: it is too long, or its crawler cut it",
    PageState.PAGE_TOO_COMPLEX: "reading it would take too many steps",
    PageState.NOT_HTML: "something else than a page",
    PageState.ROBOTS_DENIED: "robots.txt withholds it, or it withholds itself",
    PageState.OUT_OF_SCOPE: "a setting leaves it out, or it leads to another site",
    PageState.OUT_OF_BUDGET: "beyond the crawl's depth, its number of pages, or the host's time",
    PageState.HTTP_ERROR: "the host answered with an error",
    PageState.ASKED_TO_WAIT: "not asked: the host wants a longer pause than is kept",
    PageState.UNREACHABLE: "the host did not answer",
    PageState.SITEMAP: "a list of pages",
    PageState.BAD_SITEMAP: "a list of pages that cannot be read to its end",
    RecordFault.DAMAGED: "it cannot be unpacked",
    RecordFault.NO_RECORD: "no record begins where one should",
    RecordFault.WRONG_LENGTH: "longer or shorter than it says",
    RecordFault.CUT_SHORT: "its file ends within it",
    RecordFault.NO_HTTP: "a response that does not begin like one",
    RecordFault.BAD_ENCODING: "its content encoding cannot be undone",
    RecordFault.NO_METADATA: "of a WAT: no JSON of the known form",
}
"""What the states mean, in a few words; one without words is shown by its name alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountLine:
    """A value, how often it occurs, and its share of all."""

    name: str
    meaning: str
    rows: int
    percent: float


def render(
    facts: HarvestFacts,
    *,
    states: Mapping[str, int],
    num_found: int,
    damaged_files: Sequence[DamagedFile],
    settings: Mapping[str, Any],
) -> str:
    """Return the page; `states` are those of the `num_found` pairs, in the order they are shown."""
    num_kept = states[HarvestState.KEPT]
    made = environment(templates_in("openalign.pages"), is_html=True)
    return made.get_template("harvest.html").render(
        style=page_style(),
        facts=facts,
        kind=settings["source"]["kind"],
        num_found=num_found,
        num_kept=num_kept,
        states=_lines(states, num_found),
        pages=_lines(dict(sorted(facts.pages.items(), key=_most_first)), sum(facts.pages.values())),
        bad_records=_lines(facts.bad_records, sum(facts.bad_records.values())),
        damaged_files=damaged_files[:NUM_DAMAGED],
        num_damaged=len(damaged_files),
        places=_lines(facts.found_in, num_kept),
        languages=_top(facts.languages, num_kept, nothing=NO_LANGUAGE),
        text_languages=_top(facts.text_languages, num_kept, nothing=NO_TEXT_LANGUAGE),
        hosts=_top(facts.hosts, num_kept),
        samples=_by_place(facts.samples),
        settings=json.dumps(settings, indent=2, ensure_ascii=False),
    )


def _most_first(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def _lines(counts: Mapping[str, int], whole: int) -> list[CountLine]:
    """Return a line for each count above 0."""
    return [
        CountLine(name=name, meaning=MEANINGS.get(name, ""), rows=rows, percent=100 * rows / whole)
        for name, rows in counts.items()
        if rows
    ]


def _top(ranking: Ranking, whole: int, *, nothing: str = "") -> list[CountLine]:
    return _lines({each.value or nothing: each.rows for each in ranking.top}, whole)


def _by_place(samples: Sequence[HarvestSample]) -> dict[str, list[HarvestSample]]:
    places = dict.fromkeys(sample.found_in for sample in samples)
    return {place: [each for each in samples if each.found_in == place] for place in places}
