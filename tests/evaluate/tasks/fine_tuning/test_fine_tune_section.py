"""What the report shows of a fine-tuning: what was tried, why one was chosen, and each run."""

from typing import Any

import msgspec
import pytest
from fine_tune_facts import facts_of
from report_read import Page

from openalign.evaluate.report import rendering
from openalign.evaluate.results import Metric, Results, TaskResult
from openalign.evaluate.tasks.contract import FinishedTask
from openalign.evaluate.tasks.fine_tuning.fine_tune import (
    KIND,
    VTAB_TASK,
    FineTuneFacts,
    FineTuneRun,
    FineTuneStage,
    FineTuneTrial,
    protocol,
)
from openalign.evaluate.tasks.fine_tuning.fine_tune_section import (
    FineTuneSection,
    how_trained,
    section,
    why_chosen,
)
from openalign.evaluate.tasks.per_class import ClassifiedExamples
from openalign.pages.templating import environment


def trial(rate: float, *, num_right: int, **changes: Any) -> FineTuneTrial:
    settings = {"learning_rate": rate, "updates": 500.0}
    noted = {"seed": 7, "num_skipped": 0, "diverged": False, **changes}
    return FineTuneTrial(settings=settings, num_right=num_right, **noted)


TRIALS = (
    trial(0.01, num_right=100),
    trial(0.1, num_right=150),
    trial(1.0, num_right=0, diverged=True),
    trial(0.02, num_right=150, num_skipped=2),
)
RUNS = (
    FineTuneRun(
        seed=5225608189600411232,
        stages=(FineTuneStage(steps=500, num_skipped=1, num_right=50, mean_per_class=0.456),),
    ),
)
FACTS = facts_of(trials=TRIALS, chosen=1, runs=RUNS, task="dtd")


def finished(facts: FineTuneFacts) -> FinishedTask[FineTuneFacts]:
    metrics = tuple(
        Metric(name=f"fine_tune/dtd/{last}", value=0.5, low=0.4, high=0.6, n=100, chance=0.1)
        for last in ("top_1", "mean_per_class", "std_over_runs")
    )
    of_task = TaskResult(
        name="dtd", kind="fine_tune", benchmark="dtd", facts=msgspec.to_builtins(facts)
    )
    results = Results(metrics=metrics, tasks=(of_task,), settings={}, libraries={}, hashes={})
    return FinishedTask(name="dtd", benchmark="dtd", facts=facts, results=results)


def shown(facts: FineTuneFacts = FACTS) -> FineTuneSection:
    tiles: Any = None  # there is no image
    return section(finished(facts), ClassifiedExamples(images=(), classes=(), confused=()), tiles)


def rendered(form: str, facts: FineTuneFacts = FACTS) -> str:
    def load(name: str) -> str:
        if name == f"page.{form}":
            return '{% import "kind" as kind %}{{ kind.sections(tasks, 0.95) }}'
        return KIND.template(form) if name == "kind" else rendering._template(name)

    made = environment(load, is_html=form == "html")
    return made.get_template(f"page.{form}").render(tasks=[shown(facts)])


def test_it_is_said_why_settings_were_chosen() -> None:
    assert why_chosen(FACTS) == (
        "Trial 2 of 4 was chosen: 150 of 200 images right, as 1 other drawn after it. 1 trial "
        "diverged."
    )
    alone = msgspec.structs.replace(FACTS, trials=TRIALS[:2])
    assert why_chosen(alone) == "Trial 2 of 2 was chosen: 150 of 200 images right."


def test_what_an_earlier_version_did_not_note_is_not_known_and_not_shown() -> None:
    earlier = msgspec.to_builtins(facts_of(chosen=0, task="dtd"))
    del earlier["num_skipped"]
    earlier["trials"] = [
        {"settings": {"learning_rate": 0.1}, "num_right": 150},
        {"settings": {"learning_rate": 1.0}, "num_right": 0},
    ]
    facts = msgspec.convert(earlier, FineTuneFacts)

    assert [(each.seed, each.num_skipped, each.diverged) for each in facts.trials] == [
        (None, None, None)
    ] * 2
    assert facts.num_skipped is None
    assert why_chosen(facts) == "Trial 1 of 2 was chosen: 150 of 200 images right."
    assert [each.note for each in shown(facts).trials] == ["", ""]
    assert "not finite" not in how_trained(facts) + protocol(finished(facts))


def test_results_call_vtabs_task_as_tables_ask_for_it() -> None:
    stored = msgspec.to_builtins(facts_of(task="dtd"))

    assert stored[VTAB_TASK] == "dtd"
    assert msgspec.convert(stored, FineTuneFacts).task == "dtd"


def test_trials_stand_with_the_best_first_and_what_went_wrong() -> None:
    found = [(each.number, each.share, each.note, each.is_chosen) for each in shown().trials]

    assert found == [
        (2, "75.0", "", True),
        (4, "75.0", "2 steps not finite", False),
        (1, "50.0", "", False),
        (3, "0.0", "diverged", False),
    ]


def test_each_run_is_shown_with_its_seed() -> None:
    [run] = shown().runs

    assert (run.seed, run.stages) == (
        "5225608189600411232",
        [("50.0", "45.6", "1 step not finite")],
    )


def test_a_mean_that_is_not_there_says_what_is_missing() -> None:
    whole, natural, *_ = shown().means

    assert whole.number is None
    assert whole.why_not.startswith("no mean; 1 of 19 tasks measured; missing: Caltech101")
    assert natural.why_not.startswith("no mean; 1 of 7 tasks measured")
    assert shown(facts_of(runs=RUNS)).means == []


def test_the_page_shows_trials_runs_and_means() -> None:
    page = Page(rendered("html"))

    text = " ".join(" ".join(page.words).split())
    assert page.open == []
    assert "Trial 2 of 4 was chosen" in text
    assert "learning_rate 0.02, updates 500" in text
    assert "5225608189600411232" in text
    assert "1 of 19 tasks measured" in text


@pytest.mark.parametrize("facts", [FACTS, facts_of()], ids=["of this version", "of earlier ones"])
def test_markdown_has_whole_tables(facts: FineTuneFacts) -> None:
    lines = [line for line in rendered("md", facts).splitlines() if line.startswith("|")]

    heads = [at for at, line in enumerate(lines) if line.startswith("|---")]
    assert heads
    for at, end in zip(heads, [*(head - 1 for head in heads[1:]), len(lines)], strict=True):
        assert len({line.count("|") for line in lines[at - 1 : end]}) == 1, lines[at - 1 : end]
    assert ("| 1 | 5225608189600411232 | 1, 1 step not finite | 50.0 | 45.6 |" in lines) == bool(
        facts.runs
    )
