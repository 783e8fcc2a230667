import pytest

from openalign.errors import ConfigError
from openalign.train.config import Duration
from openalign.train.optim.schedule import check_warmup, learning_rate_factor, total_steps
from openalign.train.updates import Schedule

STEPS = (0, 1, 3, 4, 8, 11)


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        # 4 steps up, then 8 down: step 8 is half way, step 11 has one eighth left.
        pytest.param("linear", (0.25, 0.5, 1.0, 1.0, 0.5, 0.125), id="linear"),
        # (1 + cos(pi x)) / 2 at x = 0, 1/2 and 7/8: cos(7 pi / 8) = -0.92388.
        pytest.param("cosine", (0.25, 0.5, 1.0, 1.0, 0.5, 0.03806), id="cosine"),
    ],
)
def test_the_rate_rises_to_the_peak_and_falls_towards_zero(
    decay: str, expected: tuple[float, ...]
) -> None:
    schedule = Schedule(warmup_steps=4, decay=decay)  # pyright: ignore[reportArgumentType]

    found = [learning_rate_factor(step, total_steps=12, schedule=schedule) for step in STEPS]

    assert found == pytest.approx(expected, abs=1e-5)


def test_without_a_warm_up_the_first_step_has_the_peak() -> None:
    schedule = Schedule(warmup_steps=0)

    found = [learning_rate_factor(step, total_steps=4, schedule=schedule) for step in range(4)]

    assert found == [1.0, 0.75, 0.5, 0.25]


def test_a_warm_up_as_long_as_the_run_is_refused() -> None:
    """Epochs may turn out fewer steps than the warm-up; only the data says so."""
    with pytest.raises(ConfigError, match="warmup_steps` is 20, and the run is only 20 steps long"):
        check_warmup(Schedule(warmup_steps=20), 20)
    check_warmup(Schedule(warmup_steps=20), 21)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        pytest.param(Duration(steps=7), 7, id="steps are steps"),
        pytest.param(Duration(epochs=2), 20, id="epochs that fit"),
        pytest.param(Duration(epochs=2.01), 21, id="a step that is begun is taken"),
    ],
)
def test_a_duration_in_epochs_becomes_whole_steps(duration: Duration, expected: int) -> None:
    assert total_steps(duration, num_pairs=160, global_batch_size=16) == expected
