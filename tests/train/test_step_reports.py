"""What a step waits for only to report it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_training import tiny_config

from openalign.telemetry import read_json_lines
from openalign.train import step_report
from openalign.train.checkpoints.manifest import BestStep, Progress
from openalign.train.journal import TEMPERATURE, VALIDATION_LOSS, Journal
from openalign.train.optim.lamb import TrustRatios
from openalign.train.zero import on_first_rank


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How often the temperature was looked up, each time with its value."""
    seen: list[float] = []

    def look(parameter: torch.Tensor) -> torch.Tensor:
        found = on_first_rank(parameter)
        seen.append(float(found))
        return found

    monkeypatch.setattr(zero, "on_first_rank", look)
    return seen


def outcome(*, loss: float = 2.0) -> step_report.StepOutcome:
    return step_report.StepOutcome(
        loss=loss,
        gradient_norm=1.0,
        temperature=0.5,
        num_replaced=0,
        unknown_share=0.0,
        stop=False,
        spike=None,
    )


class Pairs:
    """64 pairs, of which no batch is passed over."""

    def __len__(self) -> int:
        return 64

    def first_position(self, step: int, *, global_batch_size: int) -> int:
        return step * global_batch_size


def state_of(folder: Path | None) -> Any:
    module = SimpleNamespace(temperature=torch.nn.Parameter(torch.full((1,), 0.25)))
    optimizer = SimpleNamespace(learning_rate=0.1, trust_ratios=TrustRatios())
    return SimpleNamespace(
        config=tiny_config(log_every_steps=4),
        total_steps=10,
        data=Pairs(),
        engine=SimpleNamespace(module=module),
        optimizer=optimizer,
        progress=Progress(),
        journal=None if folder is None else Journal(folder, first_step=0, total_steps=10),
    )


def test_the_temperature_is_looked_up_where_a_line_is_written(
    tmp_path: Path, looked_up: list[float]
) -> None:
    """Every fourth step has a line, and the last; steps 3 and 7 count from 0."""
    state = state_of(tmp_path)
    for step in range(10):
        step_report.report(state, step, outcome(), validation_loss=None, waited=0.0)
    state.journal.close()

    lines = read_json_lines((tmp_path / "metrics.jsonl").read_text())
    assert [line["step"] for line in lines] == [3, 7, 9]
    assert [line[TEMPERATURE] for line in lines] == [0.25] * 3  # as the step has left it
    assert len(looked_up) == 3


def test_ranks_without_a_journal_do_not_look_it_up(looked_up: list[float]) -> None:
    """To read a number from a device waits until it has ended the step."""
    state = state_of(None)
    for step in range(10):
        ended = outcome(loss=float("nan") if step == 7 else 2.0)
        step_report.report(state, step, ended, validation_loss=None, waited=0.0)

    assert len(gathered) == 2  # no line is written of a step that was skipped


def test_ranks_without_a_journal_do_not_wait_for_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """To read a number from a device waits until it has ended the step."""
    asked: list[object] = []

    class OnTheDevice:
        def __float__(self) -> float:
            asked.append(self)
            return 0.25

    monkeypatch.setattr(step_report, "_temperature", lambda _: OnTheDevice())

    step_report.report(state_of(None), 3, outcome(), validation_loss=None, waited=0.0)

    assert not asked


def test_a_step_that_was_validated_behind_has_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = state_of(tmp_path)
    skipped = float("nan")
    for step, loss, seen in ((0, 2.0, 3.0), (1, skipped, 2.5), (2, 2.0, 2.75), (4, 2.0, skipped)):
        if step == 1:
            state.progress.best = BestStep(step=2, loss=2.5)
        step_report.report(state, step, outcome(loss=loss), validation_loss=seen, waited=0.0)
    state.journal.close()

    lines = read_json_lines((tmp_path / "metrics.jsonl").read_text())
    assert [(line["step"], line.get(VALIDATION_LOSS)) for line in lines] == [
        (0, 3.0),
        (1, 2.5),
        (2, 2.75),
        (4, None),
    ]
    assert [TEMPERATURE in line for line in lines] == [True, False, True, True]
    said = [line for line in capsys.readouterr().err.splitlines() if "validation" in line]
    assert [line.removeprefix("train     validation loss ") for line in said] == [
        "3.000 behind 1 of 10 steps",
        "2.500 behind 2 of 10 steps, the lowest so far",
        "2.750 behind 3 of 10 steps; the lowest is 2.500, behind 2",
        "nan behind 5 of 10 steps; the lowest is 2.500, behind 2",
    ]
