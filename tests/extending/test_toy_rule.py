"""A new rule is one function, one line in its table and one state."""

from dataclasses import replace
from pathlib import Path

import pytest
from toy_pipeline import write_pairs
from toy_rule import RULE

from openalign import cli
from openalign.files.facts import FilterFacts, RuleEffect
from openalign.files.manifest import StageFolder
from openalign.files.states import FilterState
from openalign.files.tables import read_table
from openalign.filtering import text_filter
from openalign.filtering.rules.text import TEXT_RULES
from openalign.pages import funnel
from openalign.run.stages import STAGES


def openalign(folder: Path, verb: str) -> int:
    return cli.main([verb, "pairs", "--config", str(folder / "pipelines.yaml")])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(text_filter, "TEXT_RULES", (*TEXT_RULES, RULE))
    with_state = replace(STAGES["filter"], states=(*FilterState, RULE.state))
    monkeypatch.setitem(STAGES, "filter", with_state)
    return tmp_path


def test_rows_end_in_a_toy_rule_and_the_funnel_shows_it(folder: Path) -> None:
    write_pairs(folder, ["a red apple", "a red apple 2", "two red apples", "7", "plum"])

    assert openalign(folder, "harvest") == 0
    assert openalign(folder, "filter") == 0

    manifest = StageFolder(str(folder / "run"), "filtered").require()
    assert manifest.states == {"kept": 2, "too_few_unigrams": 2, "digit": 1}
    # `7` has a digit too, but is too short first.
    effects = manifest.facts_as(FilterFacts).rules
    assert effects[-1] == RuleEffect(rule="digit", dropped=1, alone=2, only=1)
    [rejected] = manifest.names("rejected-")
    rows = read_table(str(folder / "run" / "filtered" / rejected)).to_pylist()
    assert {r["alt_text"]: r["reason"] for r in rows} == {
        "a red apple 2": "digit",
        "7": "too_few_unigrams",
        "plum": "too_few_unigrams",
    }
    built = funnel.build({"filter": manifest}, [STAGES["filter"].facts])
    # Dropped 1, which leaves 2; alone it would drop 2, and only it drops 1.
    assert funnel.render(built).splitlines()[-1].split() == ["digit", "1", "2", "2", "1"]


def test_a_toy_rule_that_drops_everything_is_named_to_the_user(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(folder, ["a red apple 2", "3 green pears"])
    assert openalign(folder, "harvest") == 0

    assert openalign(folder, "filter") == 2

    said = capsys.readouterr().err
    assert "error: filter left nothing for the next stage" in said
    assert "\n  digit" in said
