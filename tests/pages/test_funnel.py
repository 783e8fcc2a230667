from enum import StrEnum
from typing import Any

from openalign.files.facts import StageFacts
from openalign.files.manifest import Manifest
from openalign.files.states import FetchState, FilterState, HarvestState
from openalign.pages.funnel import FunnelRow, build, legend, render, rows_of


def manifest(
    stage: str, states: dict[str, int], *, facts: dict[str, Any] | None = None
) -> Manifest:
    return Manifest(
        stage=stage,
        schema_version=1,
        fingerprint="f",
        settings={},
        inputs={},
        num_inputs=sum(states.values()),
        states=states,
        num_outputs=1,
        files=[],
        facts=facts or {},
    )


def stage(name: str, states: type[StrEnum], *, shows_all_drops: bool = True) -> StageFacts:
    goes_on, *drops = states
    return StageFacts(
        name=name,
        title=name,
        goes_on=goes_on,
        drops=tuple(drops),
        shows_all_drops=shows_all_drops,
    )


STAGES = [
    StageFacts(name="site", title="site", goes_on="", drops=()),
    stage("harvest", HarvestState),
    stage("filter", FilterState),
    stage("fetch", FetchState, shows_all_drops=False),
]
MANIFESTS = {
    "site": manifest("site", {"written": 3}),
    "harvest": manifest("candidates", {"kept": 1000, "duplicate": 40, "no_alt_text": 60}),
    "filter": manifest(
        "filtered",
        {"kept": 700, "too_few_unigrams": 250, "rare_ngram": 50},
        facts={
            "rules": [
                {"rule": "too_few_unigrams", "dropped": 250, "alone": 250, "only": 230},
                {"rule": "rare_ngram", "dropped": 50, "alone": 70, "only": 50},
                {"rule": "language", "dropped": 0, "alone": 0, "only": 0},
            ]
        },
    ),
    "fetch": manifest("shards", {"fetched": 690, "http_gone": 8, "timeout": 2}),
}


def test_rows_follow_the_stages_and_the_order_of_the_rules() -> None:
    funnel = build(MANIFESTS, STAGES)

    assert [(s.stage, s.rows_in, s.left) for s in funnel] == [
        ("harvest", 1100, 1000),
        ("filter", 1000, 700),
        ("fetch", 700, 690),
    ]
    assert [r.rule for r in funnel[1].rows] == [
        "language",
        "alt_text_on_many_images",
        "image_with_many_alt_texts",
        "too_few_unigrams",
        "too_many_unigrams",
        "rare_ngram",
    ]
    # Of the many ways in which a fetch can fail, only those that occurred; none is a rule.
    assert list(funnel[2].rows) == [
        FunnelRow(
            stage="fetch", rule="timeout", rows_in=700, dropped=2, left=698, alone=None, only=None
        ),
        FunnelRow(
            stage="fetch", rule="http_gone", rows_in=698, dropped=8, left=690, alone=None, only=None
        ),
    ]


def test_each_row_goes_on_where_the_one_before_ended() -> None:
    for stage in build(MANIFESTS, STAGES):
        left = stage.rows_in
        for row in stage.rows:
            assert row.rows_in == left
            left -= row.dropped
            assert row.left == left
        assert stage.left == left


def test_effects_come_from_the_manifest() -> None:
    rows = {(r.stage, r.rule): r for r in rows_of(build(MANIFESTS, STAGES))}

    rare = rows["filter", "rare_ngram"]
    assert (rare.rows_in, rare.dropped, rare.left, rare.alone, rare.only) == (750, 50, 700, 70, 50)
    assert rows["harvest", "duplicate"].alone is None


def test_the_terminal_shows_what_dropped_something() -> None:
    assert render(build(MANIFESTS, STAGES)).splitlines() == [
        "                       in  dropped   left  alone  only",
        "harvest             1,100           1,000",
        "  duplicate                     40  1,060",
        "  no_alt_text                   60  1,000",
        "filter              1,000             700",
        "  too_few_unigrams             250    750    250   230",
        "  rare_ngram                    50    700     70    50",
        "fetch                 700             690",
        "  timeout                        2    698",
        "  http_gone                      8    690",
    ]


def test_nothing_run_yet_is_an_empty_funnel() -> None:
    assert build({}, STAGES) == ()
    assert render(()).split() == ["in", "dropped", "left"]


def test_only_rules_have_effects_to_show() -> None:
    fetch = build(MANIFESTS, STAGES)[2:]

    assert render(fetch).splitlines() == [
        "              in  dropped  left",
        "fetch        700            690",
        "  timeout               2   698",
        "  http_gone             8   690",
    ]
    assert legend(fetch) == ""
    assert "alone: what the rule would drop as the only one" in legend(build(MANIFESTS, STAGES))
