import threading

import pytest

from openalign.evaluate.metrics.row_parts import in_parts


@pytest.mark.parametrize("threads", [1, 4], ids=["one core", "four cores"])
def test_every_row_is_worked_on_once(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(threads)))
    parts: list[slice] = []

    in_parts(parts.append, 10, step=4)

    assert sorted((part.start, part.stop) for part in parts) == [(0, 4), (4, 8), (8, 10)]


def test_parts_run_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    both = threading.Barrier(2, timeout=30)

    def work(_: slice) -> None:
        both.wait()  # breaks where the other part waits for this one to end

    in_parts(work, 2, step=1)

    assert not both.broken


def test_an_error_in_a_part_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})

    def work(part: slice) -> None:
        if part.start == 1:
            raise ValueError(part.start)

    with pytest.raises(ValueError, match="1"):
        in_parts(work, 3, step=1)
