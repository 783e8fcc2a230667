"""The pipeline's `web`: said once, for every stage that asks the web."""

from pathlib import Path

import pytest

from openalign.errors import ConfigError
from openalign.ingest.web.config import WebConfig
from openalign.run.config import PipelineConfig, load_pipeline

PIPELINES = """\
parent:
  web: {contact: "https://parent.example", requests_per_second: 2.0, respect_robots: false}
  harvest:
    source: {kind: site, seeds: ["https://museum.example/"]}
    web: {requests_per_second: 9.0}
child:
  extends: parent
  web: {contact: "https://child.example"}
  fetch:
    web: {num_retries: 7}
empty:
  extends: parent
  fetch:
nothing:
  extends: parent
  fetch:
    web:
without:
  extends: parent
  harvest:
  evaluate: {model: /models/align-base}
"""


def load(folder: Path, name: str, *overrides: str, text: str = PIPELINES) -> PipelineConfig:
    path = folder / "pipelines.yaml"
    path.write_text(text)
    return load_pipeline(str(path), name, overrides)


def harvest_web(config: PipelineConfig) -> WebConfig:
    assert config.harvest is not None
    return config.harvest.web


def test_a_shared_setting_holds_for_harvest_and_for_fetch(tmp_path: Path) -> None:
    config = load(tmp_path, "child")

    for web in (config.web, harvest_web(config), config.fetch.web):
        assert web.contact == "https://child.example"
        assert web.respect_robots is False


def test_a_stages_own_key_stands_over_the_shared_one_and_leaves_the_others(tmp_path: Path) -> None:
    config = load(tmp_path, "child")

    assert harvest_web(config).requests_per_second == 9.0
    assert config.fetch.web.requests_per_second == 2.0
    assert (harvest_web(config).num_retries, config.fetch.web.num_retries) == (2, 7)


@pytest.mark.parametrize("name", ["empty", "nothing"])
def test_a_section_with_nothing_in_it_takes_the_shared_settings(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, name).fetch.web == load(tmp_path, name).web


def test_a_shared_setting_makes_no_harvest_where_there_is_none(tmp_path: Path) -> None:
    alone = "alone:\n  web: {contact: a@b}\n  evaluate: {model: /models/align-base}\n"

    for config in (load(tmp_path, "without"), load(tmp_path, "alone", text=alone)):
        assert config.harvest is None
        assert config.fetch.web == config.web


def test_one_override_serves_both_stages_or_one(tmp_path: Path) -> None:
    both = load(tmp_path, "child", "web.contact=me@example.org")
    one = load(tmp_path, "child", "fetch.web.contact=me@example.org")

    assert harvest_web(both).contact == both.fetch.web.contact == "me@example.org"
    assert harvest_web(one).contact == "https://child.example"
    assert one.fetch.web.contact == "me@example.org"


def test_an_override_alone_is_shared(tmp_path: Path) -> None:
    text = "bare:\n  harvest: {source: {kind: table, path: x.csv}}\n"

    config = load(tmp_path, "bare", "web.contact=me@example.org", text=text)

    assert harvest_web(config).contact == config.fetch.web.contact == "me@example.org"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        pytest.param(
            "  web: {contact: a@b, speed: 1}\n",
            r"pipelines\.yaml:2: `web\.speed` is not",
            id="an unknown shared key",
        ),
        pytest.param(
            "  web: {connections: 0}\n",
            r"pipelines\.yaml:2: `web` connections must be above 0, got 0",
            id="a shared value out of bounds",
        ),
        pytest.param(
            "  web: fast\n", r"pipelines\.yaml:2: `web` must be a section", id="no section"
        ),
        pytest.param(
            "  web: {connections: 9}\n  fetch:\n    web: {connections: 0}\n",
            r"pipelines\.yaml:4: `fetch\.web` connections must be above 0, got 0",
            id="a stage's own value out of bounds",
        ),
    ],
)
def test_an_error_names_the_place_where_the_setting_stands(
    tmp_path: Path, settings: str, error: str
) -> None:
    text = "bare:\n" + settings + "  harvest: {source: {kind: table, path: x.csv}}\n"

    with pytest.raises(ConfigError, match=error):
        load(tmp_path, "bare", text=text)


@pytest.mark.parametrize("stage", ["harvest", "fetch"])
def test_the_old_key_names_the_new_one(tmp_path: Path, stage: str) -> None:
    text = f"old:\n  {stage}:\n    download: {{contact: a@b}}\n"

    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "old", text=text)

    assert f"pipelines.yaml:3: `{stage}.download` is no longer a setting" in str(caught.value)
    assert caught.value.hint == (
        "write `web: {...}` once in the pipeline; what one stage alone needs stands under "
        f"`{stage}.web`"
    )


def test_the_old_key_of_one_run_names_the_new_one_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--set fetch\.download\.contact: `fetch\.download` is"):
        load(tmp_path, "child", "fetch.download.contact=a@b")
