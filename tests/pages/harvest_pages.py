"""The page of a harvest that tests read."""

from typing import Any

from pages_seen import EVIL

from openalign.files.facts import (
    CountedValue,
    DamagedFile,
    HarvestFacts,
    HarvestSample,
    Ranking,
    SourceRows,
)
from openalign.pages.harvest_page import render

STATES = {"kept": 3, "duplicate": 1, "no_alt_text": 4, "data_url": 0}


def page_of(**facts: Any) -> str:
    return render(
        HarvestFacts(**facts),
        states=STATES,
        num_found=8,
        damaged_files=[DamagedFile(name=EVIL, reason=EVIL)],
        settings={"source": {"kind": "site", "seeds": [EVIL]}, "num_files": 4},
    )


def whole() -> str:
    return page_of(
        pages={"parsed": 2, "http_error": 6},
        bad_records={"no_record": 3},
        text_languages=Ranking(top=[CountedValue(value="", rows=3)], num_values=1),
        sources=[SourceRows(source=EVIL, pages=8, found=1_234_567, candidates=4)],
        num_sources=21,
        found_in={"img_alt": 2, "og_image": 1},
        languages=Ranking(
            top=[CountedValue(value="", rows=2), CountedValue(value="en", rows=1)], num_values=2
        ),
        hosts=Ranking(top=[CountedValue(value="a.example", rows=3)], num_values=40),
        samples=[
            HarvestSample(
                found_in="img_alt", key="0", alt_text=EVIL, image_url=EVIL, page_url=EVIL
            ),
            HarvestSample(
                found_in="table", key="1", alt_text="cat", image_url="http://a/", page_url=None
            ),
        ],
    )
