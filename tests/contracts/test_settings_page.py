"""docs/settings.md is what the config classes say."""

from dataclasses import fields
from pathlib import Path

from openalign.run.config import PipelineConfig
from openalign.run.settings_page import COMMAND, SETTINGS_PAGE, page
from openalign.settings.sentences import sections_of

ROOT = Path(__file__).parents[2]


def test_the_page_is_current() -> None:
    """A renamed setting breaks users' files: say so in CHANGELOG.md, then make the page anew."""
    on_disk = (ROOT / SETTINGS_PAGE).read_text(encoding="utf-8")

    assert on_disk == page(), f"{SETTINGS_PAGE} is not what the config classes say; run: {COMMAND}"


def test_every_stage_has_a_heading_and_every_setting_a_row() -> None:
    lines = page().splitlines()

    for spec in fields(PipelineConfig):
        assert spec.name == "name" or any(line.startswith(f"| `{spec.name}` |") for line in lines)
    for stage in ("harvest", "filter", "fetch", "select", "train", "evaluate", "report"):
        assert f"## `{stage}`" in lines
    rows = [line for line in lines if line.startswith("| `")]
    settings = [one for section in sections_of(PipelineConfig) for one in section.settings]
    assert len(rows) == len(settings) - 1  # `name` is the pipeline's key
    assert len(rows) > 100
