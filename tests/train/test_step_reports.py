"""What a step waits for only to report it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_training import tiny_config

from openalign.telemetry import read_json_lines
from openalign.train import loop
from openalign.train.journal import TEMPERATURE, Journal
from openalign.train.optim.lamb import TrustRatios
from openalign.train.zero import whole_parameter


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How often the temperature was looked up, each time with its value."""
    seen: list[float] = []

    def look(state: Any) -> torch.Tensor:
        found = whole_parameter(state.engine.module.temperature)
        seen.append(float(found))
        return found

    monkeypatch.setattr(loop, "_temperature", look)
    return seen


def outcome(*, loss: float = 2.0) -> loop._StepOutcome:
    return loop._StepOutcome(
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
        journal=None if folder is None else Journal(folder, first_step=0, total_steps=10),
    )


def test_the_temperature_is_looked_up_where_a_line_is_written(
    tmp_path: Path, gathered: list[float]
) -> None:
    """Every fourth step has a line, and the last; steps 3 and 7 count from 0."""
    state = state_of(tmp_path)
    for step in range(10):
        loop._report(state, step, outcome(), 0.0)
    state.journal.close()

    lines = read_json_lines((tmp_path / "metrics.jsonl").read_text())
    assert [line["step"] for line in lines] == [3, 7, 9]
    assert [line[TEMPERATURE] for line in lines] == [0.25] * 3  # as the step has left it
    assert len(gathered) == 3


def test_ranks_without_a_journal_look_it_up_at_the_same_steps(gathered: list[float]) -> None:
    state = state_of(None)
    for step in range(10):
        loop._report(state, step, outcome(loss=float("nan") if step == 7 else 2.0), 0.0)

    assert len(gathered) == 2  # no line is written of a step that was skipped


def test_ranks_without_a_journal_do_not_wait_for_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """To read a number from a device waits until it has ended the step."""
    asked: list[object] = []

    class OnTheDevice:
        def __float__(self) -> float:
            asked.append(self)
            return 0.25

    monkeypatch.setattr(loop, "_temperature", lambda _: OnTheDevice())

    loop._report(state_of(None), 3, outcome(), 0.0)

    assert not asked
