import numpy as np
import pytest

from openalign.train.data.order import draws_at, rows_at, seed_at


@pytest.mark.parametrize("num_rows", [1, 2, 3, 15, 16, 17, 1000])
@pytest.mark.parametrize("epoch", [0, 5])
def test_an_epoch_holds_every_row_once(num_rows: int, epoch: int) -> None:
    positions = np.arange(epoch * num_rows, (epoch + 1) * num_rows)

    assert sorted(rows_at(positions, num_rows=num_rows, seed=7).tolist()) == list(range(num_rows))


def test_a_row_depends_on_its_position_alone() -> None:
    """Whoever asks for one position, or for them in another order, gets the same rows."""
    positions = np.arange(250)
    whole = rows_at(positions, num_rows=100, seed=3)

    assert [rows_at(positions[i : i + 1], num_rows=100, seed=3)[0] for i in range(250)] == list(
        whole
    )
    assert list(rows_at(positions[::-1], num_rows=100, seed=3)) == list(whole[::-1])


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first = rows_at(np.arange(1000), num_rows=1000, seed=0)
    second = rows_at(np.arange(1000, 2000), num_rows=1000, seed=0)
    other = rows_at(np.arange(1000), num_rows=1000, seed=1)

    # Two random permutations of a thousand agree in about one place.
    assert (first == second).sum() < 10
    assert (first == other).sum() < 10
    assert (first == np.arange(1000)).sum() < 10


def test_rows_spread_evenly_over_positions() -> None:
    """Over many epochs a row's place is uniform: its mean is within 5 sigma of the middle."""
    orders = rows_at(np.arange(400 * 50), num_rows=50, seed=1).reshape(400, 50)
    places = np.nonzero(orders == 0)[1]

    assert abs(float(np.mean(places)) - 24.5) < 5 * (50 / np.sqrt(12)) / np.sqrt(400)
    assert set(places.tolist()) > {0, 49}


def test_the_order_is_pinned() -> None:
    """Another order would break every resumed run: change it only with the checkpoint format."""
    assert rows_at(np.arange(10), num_rows=10, seed=0).tolist() == [3, 9, 0, 1, 8, 6, 2, 4, 7, 5]


def test_draws_are_uniform_and_depend_on_the_position_alone() -> None:
    draws = draws_at(np.arange(4000), num_draws=3, seed=5)

    assert draws.min() >= 0.0
    assert draws.max() < 1.0
    # 12000 uniform draws: standard error of the mean 0.0026, of the lower half's share 0.0046.
    assert abs(draws.mean() - 0.5) < 0.013
    assert abs((draws < 0.5).mean() - 0.5) < 0.023
    assert abs(np.asarray(np.corrcoef(draws.T))[0, 1]) < 0.08
    np.testing.assert_array_equal(draws[17:18], draws_at(np.array([17]), num_draws=3, seed=5))
    assert not np.allclose(draws[:10], draws_at(np.arange(10), num_draws=3, seed=6))


def test_seeds_differ_in_every_part() -> None:
    seeds = {seed_at(0), seed_at(0, 0), seed_at(0, 1), seed_at(1, 0), seed_at(0, 1, 2)}
    seeds |= {seed_at(0, 2, 1)}

    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_at(0, 1, 2) == seed_at(0, 1, 2)
