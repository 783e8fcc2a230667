from typing import Any

from openalign.ingest.web.host_limits import HostLimits
from openalign.ingest.web.pace import Pace


def pace_of(**changes: Any) -> Pace[str]:
    settings: dict[str, Any] = {
        "requests_per_second": 1000.0,
        "connections_per_host": 10,
        "host_seconds": None,
        "host_failures": 20,
        "max_retry_seconds": 60.0,
    }
    limits = HostLimits(**(settings | changes))
    return Pace(lambda _: limits)


def taken(pace: Pace[str], now: float) -> list[str]:
    items = []
    while (item := pace.take(now)) is not None:
        items.append(item)
    return items


def test_a_host_is_asked_at_its_rate() -> None:
    pace = pace_of(requests_per_second=2.0)
    for item in "abc":
        pace.put("host", item, now=100.0)

    assert taken(pace, 100.0) == ["a"]
    assert pace.next_due() == 100.5
    assert taken(pace, 100.4) == []
    assert taken(pace, 100.5) == ["b"]
    assert taken(pace, 109.0) == ["c"]


def test_an_idle_time_is_not_saved_up_at_slow_rates() -> None:
    pace = pace_of(requests_per_second=2.0)
    pace.put("host", "a", now=100.0)
    assert taken(pace, 100.0) == ["a"]
    pace.put("host", "b", now=100.0)
    pace.put("host", "c", now=100.0)

    assert taken(pace, 200.0) == ["b"]


def test_a_fast_rate_makes_up_for_a_twentieth_of_a_second() -> None:
    pace = pace_of(requests_per_second=128.0, connections_per_host=100)
    for number in range(50):
        pace.put("host", str(number), now=100.0)

    assert len(taken(pace, 100.0)) == 7  # one now, and 6 for the last 50 ms, at 7.8 ms each


def test_hosts_do_not_wait_for_each_other() -> None:
    pace = pace_of(requests_per_second=1.0, connections_per_host=1)
    for item in ("a1", "a2"):
        pace.put("a", item, now=100.0)
    pace.put("b", "b1", now=100.0)

    assert taken(pace, 100.0) == ["a1", "b1"]


def test_a_host_has_so_many_connections_and_no_more() -> None:
    pace = pace_of(connections_per_host=2)
    for item in "abc":
        pace.put("host", item, now=100.0)

    assert taken(pace, 100.0) == ["a", "b"]
    assert pace.next_due() is None
    pace.release("host", now=100.0)
    assert taken(pace, 200.0) == ["c"]


def test_a_host_that_is_held_is_left_alone_until_then() -> None:
    pace = pace_of()
    pace.put("host", "a", now=100.0)

    pace.hold("host", until=150.0, now=100.0)

    assert taken(pace, 149.9) == []
    assert taken(pace, 150.0) == ["a"]


def test_a_crawl_delay_slows_down_and_never_speeds_up() -> None:
    pace = pace_of(requests_per_second=1.0)
    for item in "abc":
        pace.put("host", item, now=100.0)

    pace.slow_down("host", interval_seconds=0.1)
    assert taken(pace, 100.0) == ["a"]
    assert pace.next_due() == 101.0
    pace.slow_down("host", interval_seconds=5.0)
    assert taken(pace, 101.0) == ["b"]
    assert pace.next_due() == 106.0


def test_a_delayed_item_joins_the_queue_when_its_time_has_come() -> None:
    pace = pace_of()
    pace.delay("host", "later", until=103.0, now=100.0)
    pace.put("host", "now", now=100.0)

    assert taken(pace, 102.9) == ["now"]
    assert pace.next_due() == 103.0
    assert taken(pace, 103.0) == ["later"]


def test_all_that_waits_for_a_host_can_be_taken_out() -> None:
    pace = pace_of(connections_per_host=1)
    for item in "abc":
        pace.put("host", item, now=100.0)
    pace.delay("host", "later", until=103.0, now=100.0)
    pace.put("other", "kept", now=100.0)
    assert pace.take(100.0) == "a"

    assert pace.expel("host", now=100.0) == ["b", "c", "later"]
    assert taken(pace, 200.0) == ["kept"]
    pace.release("host", now=200.0)
    assert taken(pace, 300.0) == []


# What is forgotten ------------------------------------------------------------------------------


def test_a_host_without_items_is_forgotten_once_it_could_be_asked_at_once() -> None:
    pace = pace_of(requests_per_second=0.5)
    pace.put("host", "a", now=100.0)
    assert pace.take(100.0) == "a"
    pace.release("host", now=100.1)

    assert pace.take(102.0) is None
    assert pace.num_hosts == 1  # its next request is due at 102, and may catch up on nothing
    assert pace.take(102.1) is None
    assert pace.num_hosts == 0


def test_a_host_that_is_held_is_not_forgotten_before() -> None:
    pace = pace_of()
    pace.put("host", "a", now=100.0)
    assert pace.take(100.0) == "a"
    pace.hold("host", until=150.0, now=100.0)
    pace.release("host", now=100.1)

    assert pace.take(149.0) is None
    pace.put("host", "b", now=149.0)
    assert taken(pace, 149.9) == []
    assert taken(pace, 150.0) == ["b"]


def test_a_crawl_delay_outlives_the_queue() -> None:
    pace = pace_of()
    pace.slow_down("host", interval_seconds=5.0)
    pace.put("host", "a", now=100.0)
    assert pace.take(100.0) == "a"
    pace.release("host", now=100.0)
    assert pace.take(106.0) is None
    assert pace.num_hosts == 0

    for item in "bc":
        pace.put("host", item, now=107.0)

    assert taken(pace, 107.0) == ["b"]
    assert pace.next_due() == 112.0


def test_many_hosts_that_come_and_go_take_no_memory() -> None:
    pace = pace_of()
    for number in range(1000):
        now = 100.0 + number
        pace.put(f"host{number}", "a", now=now)
        assert pace.take(now) == "a"
        pace.release(f"host{number}", now=now)

    assert pace.num_hosts == 1


# The time of a host -----------------------------------------------------------------------------


def test_the_time_of_a_host_runs_while_it_has_items() -> None:
    pace = pace_of(requests_per_second=1.0, host_seconds=10.0)
    pace.put("host", "a", now=100.0)
    assert pace.take(100.0) == "a"
    pace.release("host", now=104.0)  # 4 seconds are taken
    assert pace.take(200.0) is None
    pace.put("host", "b", now=300.0)

    assert pace.overdrawn(305.9) == []
    assert pace.overdrawn(306.0) == ["host"]
    assert pace.overdrawn(307.0) == []


def test_a_host_whose_items_end_in_time_is_not_overdrawn() -> None:
    pace = pace_of(host_seconds=10.0)
    pace.put("host", "a", now=100.0)
    assert pace.take(100.0) == "a"
    pace.release("host", now=109.0)

    assert pace.overdrawn(200.0) == []


def test_hosts_without_a_limit_are_never_overdrawn() -> None:
    pace = pace_of()
    pace.put("host", "a", now=100.0)

    assert pace.overdrawn(1e9) == []


def test_hosts_that_have_items_are_told_those_with_the_most_first() -> None:
    pace = pace_of(connections_per_host=1)
    for host, items in (("one", "a"), ("three", "abc"), ("also one", "a"), ("none", "a")):
        for item in items:
            pace.put(host, item, now=100.0)
    pace.delay("also one", "b", until=200.0, now=100.0)
    pace.expel("none", now=100.0)
    taken(pace, 100.0)  # one of each is active

    assert pace.busy_hosts() == ["three", "also one", "one"]
