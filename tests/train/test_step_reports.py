"""What a step waits for only to report it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_training import tiny_config

from openalign.telemetry import read_json_lines
from openalign.train import step_report, zero
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
        num_pieces=20,
        num_unknown=0,
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
        step_report.report(state, step, outcome(), validation_loss=2.0, waited=0.0)

    assert not looked_up


def test_a_step_before_which_pairs_were_looked_at_has_a_line(tmp_path: Path) -> None:
    """One that was skipped has what was seen alone; what is not finite is no number of JSON's."""
    state = state_of(tmp_path)
    skipped = float("nan")
    for step, loss, seen in ((0, 2.0, 3.0), (1, skipped, 2.5), (2, 2.0, None), (3, 2.0, skipped)):
        step_report.report(state, step, outcome(loss=loss), validation_loss=seen, waited=0.0)
    state.journal.close()

    lines = read_json_lines((tmp_path / "metrics.jsonl").read_text())
    found = [(line["step"], line.get(VALIDATION_LOSS), line.get(TEMPERATURE)) for line in lines]
    assert found == [(0, 3.0, 0.25), (1, 2.5, None), (3, None, 0.25)]
