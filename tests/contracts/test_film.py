"""README's film of the terminal is what its script makes of its transcript."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
TRANSCRIPT = IMAGES / "film.txt"


def film(transcript: str) -> str:
    made = subprocess.run(
        [sys.executable, IMAGES / "film.py"],
        input=transcript,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


def test_the_film_is_that_of_its_transcript() -> None:
    assert film(TRANSCRIPT.read_text()) == (IMAGES / "film.svg").read_text()


def test_every_line_of_the_transcript_is_in_the_film_in_its_order() -> None:
    said = [line.split("|", 1)[1] for line in TRANSCRIPT.read_text().splitlines()]
    rows = ET.fromstring((IMAGES / "film.svg").read_text()).iterfind(".//{*}g[@class='row']")
    shown = [row.findtext("{*}text") or "" for row in rows]
    assert "".join(shown) == "".join(said)


def test_the_paper_moves_up_by_what_does_not_fit() -> None:
    # 24 rows of 21 px fit: of 26, two are pushed out in the end, and none of 24.
    def end(lines: int) -> str:
        style = ET.fromstring(film("0|x\n" * lines)).findtext("{*}style") or ""
        return style.partition(".paper{transform:translateY(")[2].partition(")")[0]

    assert end(24) == "-0px"
    assert end(26) == "-42px"
