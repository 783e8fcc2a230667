"""A run that is asked to stop at the very step whose loss is a spike."""

from collections.abc import Generator, Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from openalign.train import loop
from openalign.train.checkpoints.manifest import Progress, Rewind
from openalign.train.stopping import Stopped

REWIND = Rewind(step=6, loss=9, mean=1, deviation=1, back_to=4, first_batch=4, stop_batch=7)


class Saver:
    """Notes at which steps it is asked to save."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def save(self, _engine: Any, _optimizer: Any, progress: Progress, _named: Any) -> None:
        self.steps.append(progress.step)

    def check(self) -> None: ...

    def is_refused(self) -> bool:
        return False

    def wait(self) -> None: ...


def saved_steps(monkeypatch: pytest.MonkeyPatch, *, start: int, every: int) -> list[int]:
    """Take the steps from `start` on; step 6 is a spike, and the run is asked to stop behind it."""

    def batches(*_: Any) -> Generator[Any]:
        yield from (SimpleNamespace(step=step) for step in range(start, 10))

    def hashes(_: Any) -> Iterator[str]:
        yield from "abcdefghij"

    def do_nothing(*_: Any, **__: Any) -> None: ...

    def step(_state: Any, batch: Any, **_: Any) -> Any:
        return SimpleNamespace(stop=batch.step == 6)

    def rewind_for(_state: Any, number: int, _outcome: Any) -> Rewind | None:
        return REWIND if number == 6 else None

    stops = SimpleNamespace(are_there=lambda: False, is_late=False)
    monkeypatch.setattr(loop.passes, "batches", batches)
    monkeypatch.setattr(loop, "stop_requests", lambda *_, **__: nullcontext(stops))
    monkeypatch.setattr(loop, "_sample_hashes", hashes)
    monkeypatch.setattr(loop, "_step", step)
    monkeypatch.setattr(loop, "_rewind_for", rewind_for)
    for name in ("_count", "report", "average_batch_norm"):
        monkeypatch.setattr(loop, name, do_nothing)
    saver = Saver()
    state: Any = SimpleNamespace(
        config=SimpleNamespace(
            checkpoint_every_steps=every, stop=None, export="last", validation=None
        ),
        held_out=None,
        saved_step=start,
        journal=None,
        progress=Progress(step=start),
        saver=saver,
        data=None,
        share=None,
        name_replaced=do_nothing,
        replaced=[],
        engine=SimpleNamespace(train=do_nothing, module=None),
        optimizer=None,
        total_steps=10,
        ranks=SimpleNamespace(rank=1),
    )
    with pytest.raises(Stopped):
        loop._train(state, do_nothing)  # type: ignore[arg-type]
    return saver.steps


def test_the_steps_before_the_spike_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    assert saved_steps(monkeypatch, start=0, every=4) == [4, 6]


@pytest.mark.parametrize(("start", "expected"), [(3, [6]), (6, [])], ids=["saved", "begun from"])
def test_a_checkpoint_that_is_there_is_not_written_over(
    monkeypatch: pytest.MonkeyPatch, start: int, expected: list[int]
) -> None:
    """Until a new one were whole there might be none: the grace of a signal is short."""
    assert saved_steps(monkeypatch, start=start, every=6) == expected
