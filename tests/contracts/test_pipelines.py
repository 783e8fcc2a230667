"""pipelines.yaml is the product: every pipeline resolves, travels to workers, and says its root."""

from pathlib import Path

import pytest
import yaml
from apache_beam.internal import pickler

from openalign.cli import main
from openalign.run.config import load_pipeline
from openalign.run.settings_files import read_settings_file
from openalign.settings.fields import identity, to_plain

NAMES = ["align", "demo", "cc3m", "coyo", "flickr30k", "mscoco", "checkpoint"]
PIPELINES = str(Path(__file__).parents[2] / "pipelines.yaml")


def test_the_pipelines_are_there() -> None:
    assert list(read_settings_file(PIPELINES).own) == NAMES


@pytest.mark.parametrize("name", NAMES)
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


@pytest.mark.parametrize("options", [[], ["--explain"]], ids=["plain", "explained"])
@pytest.mark.parametrize("name", NAMES)
def test_what_validate_prints_is_the_pipeline_again(
    name: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", name, "--config", PIPELINES, *options]) == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out, encoding="utf-8")

    assert load_pipeline(str(printed), name) == load_pipeline(PIPELINES, name)


def test_an_explained_pipeline_has_the_values_of_the_plain_one_and_lines_of_100_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["validate", "demo", "--config", PIPELINES])
    plain = capsys.readouterr().out
    main(["validate", "demo", "--config", PIPELINES, "--explain"])
    explained = capsys.readouterr().out

    assert yaml.safe_load(explained) == yaml.safe_load(plain)
    comments = [line for line in explained.splitlines() if line.lstrip(" -").startswith("#")]
    assert len(comments) > 100
    assert max(map(len, comments)) <= 100
