"""The data card, over manifests of a run's stages that are written down here."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pytest
from huggingface_hub import DatasetCard
from read_cards import HOSTILE, headings_of, links_of, rows_of

from openalign.evaluate.cards import data_card
from openalign.evaluate.cards.data_card import AskedWeb, FetchSettings, Gathered, HarvestSettings
from openalign.files.facts import (
    HarvestFacts,
    HostRows,
    NearDuplicateFacts,
    RuleEffect,
    SelectFacts,
)
from openalign.files.manifest import Manifest
from openalign.ingest.config import FetchConfig, HarvestConfig
from openalign.ingest.sources.crawl import SiteSource
from openalign.ingest.web.config import WebConfig
from openalign.pages import funnel
from openalign.run.stages import STAGES
from openalign.settings.fields import identity

PAPER = "https://arxiv.org/abs/2102.05918"
ONE_LINE = " ".join(HOSTILE.split())
WEB = {"respect_robots": True, "respect_opt_outs": False}


def manifest(stage: str, states: dict[str, int], settings: Any, facts: Any) -> Manifest:
    return Manifest(
        stage=stage,
        schema_version=1,
        fingerprint="f",
        settings={"settings": settings},
        inputs={},
        num_inputs=sum(states.values()),
        states=states,
        num_outputs=next(iter(states.values())),
        files=[],
        facts=msgspec.to_builtins(facts),
    )


def gathered(**harvest_settings: Any) -> Gathered:
    source = {"kind": "site", "seeds": ["http://a.example/", HOSTILE]}
    manifests = {
        "harvest": manifest(
            "harvest",
            {"kept": 20, "duplicate": 2},
            {"source": source, "web": WEB} | harvest_settings,
            HarvestFacts(pages={"parsed": 9, "robots_denied": 3}),
        ),
        "filter": manifest("filter", {"kept": 15, "language": 5}, {}, {}),
        "fetch": manifest(
            "fetch",
            {"fetched": 10, "robots_denied": 1, "opted_out": 4},
            {"fetch": {"web": WEB}},
            {},
        ),
        "select": manifest(
            "select",
            {"kept": 8, "near_duplicate": 2},
            {"note": "```\n# no heading"},
            SelectFacts(
                rules=[RuleEffect(rule="near_duplicate", dropped=2, alone=3, only=1)],
                near_duplicates=NearDuplicateFacts(
                    method="phash", radius_bits=6, num_held_out=1234
                ),
                top_hosts=[
                    HostRows(host="few.example", rows=9, kept=1),
                    HostRows(host="many`|.example", rows=8, kept=7),
                ],
            ),
        ),
    }
    facts = [stage.facts for stage in STAGES.values()]
    return Gathered(
        harvest=manifests["harvest"],
        fetch=manifests["fetch"],
        select=manifests["select"],
        funnel=funnel.build(manifests, facts),
        manifests=manifests,
    )


def write(found: Gathered, output: Path, *, title: str = "Tiny") -> DatasetCard:
    file = data_card.write(found, output=str(output), title=title, credits=(HOSTILE,))
    text = (output / "data-card" / "README.md").read_text()
    assert (file.name, file.num_bytes) == ("data-card/README.md", len(text.encode()))
    return DatasetCard(text)


def test_the_hub_reads_its_metadata(tmp_path: Path) -> None:
    data = write(gathered(), tmp_path, title=HOSTILE).data

    assert data["pretty_name"] == HOSTILE
    assert data["license"] == "unknown"
    assert data["size_categories"] == ["n<1K"]
    assert data["annotations_creators"] == ["found"]
    assert "image-text-pairs" in data["tags"]


@pytest.mark.parametrize(
    ("num", "name"),
    [
        (1, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (12_140, "10K<n<100K"),
        (1_800_000_000, "1B<n<10B"),
        (10**12, "n>1T"),
    ],
)
def test_a_size_has_the_name_that_the_hub_gives_it(num: int, name: str) -> None:
    assert data_card.size_category(num) == name


def test_every_row_that_came_in_is_told(tmp_path: Path) -> None:
    text = write(gathered(), tmp_path).text

    assert text.startswith(
        "\n# Tiny: training pairs\n\n8 pairs of an image and an alt-text, of 22 "
    )
    rows = rows_of(text, "stage")
    assert ["harvest", "came in", "", "22", "", ""] in rows
    assert ["harvest", "duplicate", "2", "20", "", ""] in rows
    assert ["filter", "language", "5", "15", "", ""] in rows
    assert ["fetch", "opted out", "4", "10", "", ""] in rows
    assert ["select", "near duplicate", "2", "8", "3", "1"] in rows
    assert "Copies of 1,234 images of benchmarks were looked for, by `phash` within 6 bits" in text
    assert rows_of(text, "pages by how they ended") == [["parsed", "9"], ["robots denied", "3"]]
    assert rows_of(text, "hosts with the most pairs") == [
        ["many'|.example", "7", "8"],
        ["few.example", "1", "9"],
    ]


def test_owners_wishes_are_told_as_the_settings_have_them(tmp_path: Path) -> None:
    text = " ".join(write(gathered(), tmp_path).text.split())

    asked = "robots.txt was obeyed, opt-outs in headers and pages were **not** heeded."
    assert f"**Pages:** {asked} Pages that robots.txt closed: 3." in text
    assert f"**Images:** {asked} Pairs that were dropped because robots.txt closes their" in text
    assert "their image: 1; because its own headers withhold it: 4." in text


def test_a_table_as_source_asks_no_page(tmp_path: Path) -> None:
    text = write(gathered(source={"kind": "table"}, web=None), tmp_path).text

    assert "**Pages:**" not in text
    assert "**Images:** robots.txt was obeyed" in text


def test_images_that_were_there_already_have_no_host(tmp_path: Path) -> None:
    found = gathered(source={"kind": "tars"}, web=None)
    select = found.select.facts_as(SelectFacts)
    no_host = msgspec.structs.replace(select, top_hosts=[HostRows(host="", rows=8, kept=8)])
    own = dataclasses.replace(
        found,
        fetch=manifest("fetch", {"fetched": 10}, {"fetch": {"size_px": 346}}, {}),
        select=manifest("select", {"kept": 8}, {}, no_host),
    )

    text = write(own, tmp_path).text

    assert "**Images:** no host was asked for one: they were there already." in text
    assert "robots.txt was" not in text
    assert "hosts with the most pairs" not in text


def test_the_names_of_settings_are_those_of_the_stages() -> None:
    """The card reads them from a manifest, which knows no class of theirs."""
    web = WebConfig(respect_robots=False, respect_opt_outs=False)
    source = SiteSource(seeds=("http://a.example/",))

    harvest = msgspec.convert(
        identity(HarvestConfig(source=source, web=web)), HarvestSettings, strict=False
    )
    fetch = msgspec.convert({"fetch": identity(FetchConfig(web=web))}, FetchSettings)

    refused = AskedWeb(respect_robots=False, respect_opt_outs=False)
    assert (harvest.web, fetch.fetch.web) == (refused, refused)
    assert harvest.source == identity(source)
    assert {f.name for f in dataclasses.fields(WebConfig)} >= set(AskedWeb.__struct_fields__)


def test_texts_of_settings_and_hosts_are_texts_and_nothing_else(tmp_path: Path) -> None:
    text = write(gathered(), tmp_path, title=HOSTILE).text

    assert links_of(text) == {PAPER}
    assert headings_of(text) == [
        f"{ONE_LINE}: training pairs",
        "Sources",
        "From candidates to pairs",
        "Owners' wishes",
        "Licenses and persons",
        "What they are not fit for",
        "Settings",
        *("harvest", "filter", "fetch", "select"),
        "Credits",
    ]
