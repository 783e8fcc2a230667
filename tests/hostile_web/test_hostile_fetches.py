"""Whole fetches of the hostile web: each case ends in its state, and its neighbor is fetched.

A host that says nothing does so until the client goes. So a case without a deadline would never
end, and neither would these tests.
"""

from collections.abc import Iterator

import pytest
from hostile_rounds import DAY, ROUND, HostileRounds, bytes_below

from openalign.files.states import FetchState
from openalign.hostile_web import pipeline
from openalign.hostile_web.cases import all_cases
from openalign.hostile_web.hostile_server import serve

pytestmark = [pytest.mark.slow, pytest.mark.distributed]

_BUSY = 10
"""So many times as long as on an idle machine things may take."""


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileRounds]:
    with serve(all_cases()) as web:
        yield HostileRounds(web, tmp_path_factory.mktemp("hostile"))


def test_every_case_ends_in_its_state_and_touches_no_other(rounds: HostileRounds) -> None:
    root = rounds.new_root("plain")

    rounds.fetch(root)

    assert rounds.misjudged(root, DAY) == []
    seen = rounds.web.seen
    for case in rounds.web.cases:
        if case.deadline and case.host in seen:
            first, last = seen[case.host]
            assert last - first < _BUSY * pipeline.most_seconds(case), case.name


def test_bundles_that_are_repeated_change_nothing(rounds: HostileRounds) -> None:
    root = rounds.new_root("repeated")

    rounds.fetch(root, "--", "--direct_runner_bundle_repeat=2")

    assert rounds.misjudged(root, DAY) == []
    assert bytes_below(root / "shards") == rounds.left_alone.files


def test_two_workers_give_the_same_bytes(rounds: HostileRounds) -> None:
    root = rounds.new_root("two-workers")

    rounds.fetch(root, "--", "--direct_running_mode=multi_processing", "--direct_num_workers=2")

    assert rounds.misjudged(root, DAY) == []
    assert bytes_below(root / "shards") == rounds.left_alone.files


def test_a_round_on_another_day_heals_exactly_what_can_heal(rounds: HostileRounds) -> None:
    assert rounds.misjudged(rounds.left_alone.root, ROUND) == []

    # Not vacuous: of what can heal some does, and of what stays some would be well.
    ends = {(case.state, case.state_after_round) for case in rounds.web.cases}
    assert (FetchState.TIMEOUT, FetchState.FETCHED) in ends
    assert (FetchState.TIMEOUT, FetchState.TIMEOUT) in ends
    assert (FetchState.HTTP_GONE, FetchState.HTTP_GONE) in ends


def test_fetches_that_are_killed_end_with_the_same_bytes(rounds: HostileRounds) -> None:
    said: list[str] = []

    problems = rounds.run(2, seed=1, say=said.append)

    assert problems == []
    assert len(said) >= 2
