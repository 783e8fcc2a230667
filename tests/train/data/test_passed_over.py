import itertools
import random

import pytest

from openalign.train.data.passed_over import BatchRange, batch_at, batches_behind, merged


def test_steps_take_the_batches_that_are_left_in_their_order() -> None:
    left_out = merged([BatchRange(2, 4), BatchRange(6, 7)])

    assert [batch_at(step, left_out) for step in range(6)] == [0, 1, 4, 5, 7, 8]


def test_what_comes_behind_a_batch_is_counted_among_those_left() -> None:
    left_out = merged([BatchRange(2, 4), BatchRange(6, 7)])  # left are 0, 1, 4, 5, 7, 8

    assert [batches_behind(1, count, left_out) for count in range(5)] == [1, 4, 5, 7, 8]
    assert [batches_behind(5, count, left_out) for count in range(3)] == [5, 7, 8]
    assert [batches_behind(3, count, ()) for count in range(3)] == [3, 4, 5]


def test_ranges_that_overlap_or_touch_are_one() -> None:
    ranges = [BatchRange(9, 12), BatchRange(2, 4), BatchRange(4, 6), BatchRange(3, 5)]

    assert merged(ranges) == (BatchRange(2, 6), BatchRange(9, 12))


@pytest.mark.parametrize("seed", range(30))
def test_a_step_takes_the_batch_that_has_its_number_among_those_left(seed: int) -> None:
    """Rewinds as a run does them: each passes over what a stretch of steps takes."""
    draw = random.Random(seed)
    ranges: list[BatchRange] = []
    out: set[int] = set()
    for _ in range(draw.randint(1, 6)):
        first = draw.randint(0, 40)
        before = [batch_at(step, merged(ranges)) for step in range(first)]
        last = first + draw.randint(0, 8)
        taken = BatchRange(batch_at(first, merged(ranges)), batch_at(last, merged(ranges)) + 1)
        ranges.append(taken)
        out |= set(range(*taken))

        left = (number for number in itertools.count() if number not in out)
        found = [batch_at(step, merged(ranges)) for step in range(60)]
        assert found == list(itertools.islice(left, 60))
        assert found[:first] == before  # what is not undone draws what it drew
