import time

import pytest

from openalign.evaluate.embedding.pace import EmbeddingPace, PaceKeeper


class Shown:
    """A display that keeps what it is shown."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.closed = False

    def show(self, done: int, text: str) -> None:
        self.done.append(done)

    def close(self) -> None:
        self.closed = True


def test_processes_at_work_together_are_one_pace() -> None:
    paces = [
        EmbeddingPace(made=30, seconds=10, waited=1),
        EmbeddingPace(made=10, seconds=8, waited=3),
    ]

    together = EmbeddingPace.together(paces)

    assert (together.made, together.seconds, together.waited) == (40, 10, 2)
    assert together.per_second == 4
    assert together.waiting_share == pytest.approx(0.2)


def test_what_is_found_and_what_is_made_are_both_done() -> None:
    shown = Shown()
    keeper = PaceKeeper(10, shown, speaks=False)

    keeper.found(4)
    keeper.made(2)
    keeper.made(4)
    keeper.close()

    assert shown.done == [4, 6, 10]
    assert keeper.pace().made == 6
    assert shown.closed


def test_the_first_batch_tells_how_long_the_rest_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    keeper = PaceKeeper(1000, None, speaks=True)
    keeper.found(100)
    clock[0] += 6.0
    with keeper.waiting():
        clock[0] += 4.0

    keeper.made(50)  # in ten seconds: 850 more take 170 s
    keeper.made(50)

    assert capsys.readouterr().err == (
        "evaluate  about 3 min for 850 more, at the speed of the first\n"
    )
    assert keeper.pace() == EmbeddingPace(made=100, seconds=10.0, waited=4.0)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(59, "less than a minute"), (61, "about 1 min"), (7100, "about 118 min"), (7300, "about 2 h")],
)
def test_durations_are_said_in_round_numbers(
    seconds: float,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    keeper = PaceKeeper(2, None, speaks=True)
    clock[0] = seconds

    keeper.made(1)

    assert capsys.readouterr().err.startswith(f"evaluate  {expected} for 1 more")
