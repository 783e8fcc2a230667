"""What a run says about stages that brought nothing in."""

import re
from pathlib import Path

import pytest

from openalign.files.facts import HarvestFacts
from openalign.files.manifest import DataFile, Manifest, StageResult
from openalign.ingest.web.config import WebConfig
from openalign.run import advice
from openalign.run.config import load_pipeline
from openalign.run.contract import Run, StageSetup
from openalign.run.messages import counts_so_far, note_end, nothing_found, say_behind_proxy
from openalign.run.stages import STAGES
from openalign.run.verbs.explaining import settings_named


@pytest.mark.parametrize(
    ("pages", "hint"),
    [
        pytest.param({"out_of_scope": 1}, "the seeds lead to another host", id="redirects"),
        pytest.param({"robots_denied": 2}, "withhold the seeds", id="withheld"),
        pytest.param({"unreachable": 1}, "unless `web.allowed_networks` lets", id="no host"),
        pytest.param({"parsed": 1, "out_of_scope": 1}, "see that the network", id="no pairs"),
    ],
)
def test_a_site_without_candidates_says_what_to_do(pages: dict[str, int], hint: str) -> None:
    config = load_pipeline("pipelines.yaml", "demo")
    setup = StageSetup(
        run=Run(stages=STAGES, config=config), output="", work="", web=WebConfig(contact="a@b.c")
    )
    result = StageResult(
        num_inputs=0, states={}, num_outputs=0, files=[], facts=HarvestFacts(pages=pages)
    )

    assert hint in (nothing_found(STAGES["harvest"], setup, result).hint or "")


def test_a_fetch_of_own_images_that_are_all_too_small_names_the_setting() -> None:
    run = Run(stages=STAGES, config=load_pipeline("pipelines.yaml", "demo"))
    setup = StageSetup(run=run, output="", work="", web=None)
    result = StageResult(
        num_inputs=320, states={"short_side": 319, "decode_failure": 1}, num_outputs=0, files=[]
    )

    error = nothing_found(STAGES["fetch"], setup, result)

    setting = "select.image.short_side_above_px"
    assert error.hint == f"`{setting}` decides about short_side: openalign explain {setting}"


def test_a_table_of_which_nothing_has_a_text_is_read_by_the_wrong_columns() -> None:
    run = Run(stages=STAGES, config=load_pipeline("pipelines.yaml", "demo"))
    setup = StageSetup(run=run, output="", work="", web=None)
    result = StageResult(num_inputs=30, states={"no_alt_text": 30}, num_outputs=0, files=[])

    hint = nothing_found(STAGES["harvest"], setup, result).hint or ""

    assert "that the settings or the `layout` name the right columns" in hint


def test_a_fetch_from_private_addresses_alone_says_what_to_write(tmp_path: Path) -> None:
    config = load_pipeline("pipelines.yaml", "demo")
    run = Run(stages=STAGES, config=config)
    setup = StageSetup(run=run, output="", work="", web=WebConfig(contact="a@b.c"))
    result = StageResult(
        num_inputs=3, states={"private_address": 3}, num_outputs=0, files=[], facts=HarvestFacts()
    )

    hint = nothing_found(STAGES["fetch"], setup, result).hint or ""

    line, override = re.search("`(web: .*)` .*--set (\\S+)", hint).groups()  # type: ignore[union-attr]
    settings = tmp_path / "p.yaml"
    settings.write_text(f"mine:\n  extends: coyo\n  {line}\n")
    written = load_pipeline(str(settings), "mine").fetch.web
    assert written.allowed_networks == ("127.0.0.0/8",)
    assert written == load_pipeline("pipelines.yaml", "coyo", [override]).fetch.web


@pytest.mark.parametrize("proxy", ["", "http://user:secret@proxy.example:3128"])
def test_a_stage_behind_a_proxy_says_what_cannot_be_judged(
    capsys: pytest.CaptureFixture[str], proxy: str
) -> None:
    say_behind_proxy(STAGES["fetch"], WebConfig(proxy=proxy))

    said = "".join(capsys.readouterr())
    assert said.startswith("fetch     asks through a proxy: ") == bool(proxy)
    assert "secret" not in said


@pytest.mark.parametrize(
    ("counts", "seconds", "said"),
    [
        pytest.param({}, 5.0, "", id="nothing yet"),
        pytest.param(
            {"pages": 0, "pairs": 50_000}, 20.0, "50,000 pairs (2,500 a second)", id="one"
        ),
        pytest.param(
            {"pages": 3, "pairs": 8},
            0.1,
            "3 pages (3 a second), 8 pairs (8 a second)",
            id="no rate is drawn from less than a second",
        ),
    ],
)
def test_counts_are_shown_with_their_rates(
    counts: dict[str, int], seconds: float, said: str
) -> None:
    assert counts_so_far(counts, seconds) == said


def end_of(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    stage: str,
    *,
    num_exported: int = 0,
    **states: int,
) -> str:
    """Return what is said where a stage has ended."""
    config = load_pipeline("pipelines.yaml", "demo", [f"root={tmp_path}"])
    manifest = Manifest(
        stage=stage,
        schema_version=1,
        fingerprint="",
        settings={},
        inputs={},
        num_inputs=sum(states.values()),
        states=states,
        num_outputs=next(iter(states.values())),
        files=[
            DataFile(name=f"export/{number}", num_bytes=1, sha256="", num_rows=1)
            for number in range(num_exported)
        ],
        facts={},
    )
    note_end(Run(stages=STAGES, config=config), STAGES[stage], manifest, 2.0)
    return capsys.readouterr().err


def test_a_stage_says_what_it_dropped_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = end_of(tmp_path, capsys, "filter", kept=60, language=20, rare_ngram=40)

    assert said == "filter    60 of 120 in 2 s, 60 a second: rare_ngram 40, language 20\n"


def test_the_smallest_reasons_are_counted_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = {"timeout": 1, "http_gone": 9, "truncated": 3, "robots_denied": 2, "dns_failure": 4}

    said = end_of(tmp_path, capsys, "fetch", fetched=81, **gone)

    assert said.endswith(": http_gone 9, dns_failure 4, truncated 3, robots_denied 2, other 1\n")


def test_a_stage_that_dropped_nothing_says_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end_of(tmp_path, capsys, "select", kept=9) == "select    9 of 9 in 2 s, 4 a second\n"


def test_a_stage_without_rows_is_just_complete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end_of(tmp_path, capsys, "report", shown=7) == "report    complete in 2 s\n"


def test_a_training_says_where_its_model_lies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end_of(tmp_path, capsys, "train", num_exported=2, trained=7) == (
        f"train     complete in 2 s\ntrain     the model is {tmp_path}/train/export\n"
    )


def test_a_rule_that_takes_nearly_all_is_told_with_its_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = end_of(tmp_path, capsys, "filter", kept=8, language=20, rare_ngram=112)

    (_, warning) = said.splitlines()
    assert warning == (
        "          rare_ngram took 112 of the 120 rows that reached it: `filter.text.frequent` "
        "decides (openalign explain filter.text.frequent)"
    )


def test_shares_of_a_few_rows_are_no_surprise() -> None:
    drops = STAGES["filter"].states[1:]
    assert list(advice.surprises("filter", {"kept": 1, "rare_ngram": 18}, drops)) == []
    assert len(list(advice.surprises("filter", {"kept": 1, "rare_ngram": 19}, drops))) == 1
    assert list(advice.surprises("filter", {"kept": 4, "rare_ngram": 16}, drops)) == []


def test_a_state_that_no_setting_decides_is_told_alone() -> None:
    drops = STAGES["fetch"].states[1:]
    said = list(advice.surprises("fetch", {"fetched": 1, "http_gone": 99}, drops))
    assert said == ["http_gone took 99 of the 100 rows that reached it"]


@pytest.mark.parametrize("stage", advice.SETTINGS)
def test_the_settings_that_are_named_exist(stage: str) -> None:
    assert set(advice.SETTINGS[stage]) <= set(STAGES[stage].states)
    assert all(settings_named(key) for key in advice.SETTINGS[stage].values())
