import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from openalign.evaluate.metrics.row_parts import in_parts


def use_cores(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(number)))


def cores_of_products() -> set[int]:
    """Return how many threads NumPy's products may use."""
    assert (np.eye(2) @ np.eye(2)).sum() == 2  # its library is loaded
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


@pytest.mark.parametrize(
    ("num_rows", "cores", "sizes"),
    [
        pytest.param(0, 4, [], id="no rows"),
        pytest.param(1, 4, [1], id="one row"),
        pytest.param(40, 1, [14, 14, 12], id="one core"),
        pytest.param(17, 2, [9, 8], id="alike on two cores"),
        pytest.param(33, 2, [9, 9, 9, 6], id="alike in two turns"),
        pytest.param(5, 8, [2, 2, 1], id="none is tiny"),
    ],
)
def test_every_row_is_worked_on_once_and_every_core_has_as_much(
    num_rows: int, cores: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cores(cores, monkeypatch)
    parts: list[slice] = []

    in_parts(parts.append, num_rows, step=16)

    rows = [row for part in sorted(parts, key=lambda p: p.start) for row in range(num_rows)[part]]
    assert rows == list(range(num_rows))
    assert sorted((part.stop - part.start for part in parts), reverse=True) == sizes


def test_parts_run_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    use_cores(2, monkeypatch)
    both = threading.Barrier(2, timeout=30)

    def work(_: slice) -> None:
        both.wait()  # breaks where the other part waits for this one to end

    in_parts(work, 2, step=1)

    assert not both.broken


def test_an_error_in_a_part_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    use_cores(2, monkeypatch)

    def work(part: slice) -> None:
        if part.start == 1:
            raise ValueError(part.start)

    with pytest.raises(ValueError, match="1"):
        in_parts(work, 3, step=1)


@pytest.mark.parametrize("fails", [False, True], ids=["it ends well", "it fails"])
def test_products_use_one_core_in_a_part_and_as_many_as_before_after_it(
    monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    use_cores(2, monkeypatch)
    seen: list[set[int]] = []

    def inner(_: slice) -> None:
        seen.append(cores_of_products())

    def work(_: slice) -> None:
        in_parts(inner, 2, step=1)
        seen.append(cores_of_products())
        if fails:
            raise ValueError

    with threadpool_limits(2, user_api="blas"):
        before = cores_of_products()
        try:
            in_parts(work, 2, step=1)
        except ValueError:
            assert fails
        assert cores_of_products() == before == {2}
    assert len(seen) >= 3
    assert all(found == {1} for found in seen)
