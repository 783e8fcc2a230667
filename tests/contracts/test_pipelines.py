"""pipelines.yaml is the product: every pipeline resolves, travels to workers, and says its root."""

from pathlib import Path

import pytest
from apache_beam.internal import pickler

from openalign.run.config import load_pipeline, pipeline_names
from openalign.settings.fields import identity, to_plain

PIPELINES = str(Path(__file__).parents[2] / "pipelines.yaml")


def test_the_four_pipelines_are_there() -> None:
    assert pipeline_names(PIPELINES) == ["align", "demo", "cc3m", "coyo"]


@pytest.mark.parametrize("name", ["align", "demo", "cc3m", "coyo"])
def test_a_pipeline_resolves_and_travels(name: str) -> None:
    config = load_pipeline(PIPELINES, name)

    assert pickler.loads(pickler.dumps(config)) == config
    assert config.root == f"runs/{name}"
    assert config.description


def test_no_place_and_no_pace_is_part_of_the_demos_identity() -> None:
    fast = load_pipeline(PIPELINES, "demo", ["root=/somewhere/else"])
    slow = load_pipeline(PIPELINES, "demo", ["web.requests_per_second=1.0"])

    assert to_plain(fast) != to_plain(slow)
    for section in ("harvest", "filter", "fetch", "select", "train", "evaluate", "report"):
        assert identity(getattr(fast, section)) == identity(getattr(slow, section))


def test_the_key_list_only_changes_on_purpose() -> None:
    """A renamed setting breaks users' files: say so in CHANGELOG.md, then change this number."""

    def keys(value: object, path: str = "") -> list[str]:
        if not isinstance(value, dict):
            return [path]
        return [key for name, item in value.items() for key in keys(item, f"{path}.{name}")]

    assert sorted(to_plain(load_pipeline(PIPELINES, "demo"))) == [
        "description",
        "evaluate",
        "fetch",
        "filter",
        "harvest",
        "name",
        "report",
        "root",
        "select",
        "site",
        "train",
        "web",
    ]
    listed = (Path(__file__).parent / "setting_keys.txt").read_text().split()
    assert sorted(keys(to_plain(load_pipeline(PIPELINES, "demo")))) == listed
