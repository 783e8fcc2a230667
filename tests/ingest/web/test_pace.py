from openalign.ingest.web.pace import Pace


def taken(pace: Pace[str], now: float) -> list[str]:
    items = []
    while (item := pace.take(now)) is not None:
        items.append(item)
    return items


def test_a_host_is_asked_at_its_rate() -> None:
    pace: Pace[str] = Pace(requests_per_second=2.0, max_active_per_host=10)
    for item in "abc":
        pace.put("host", item)

    assert taken(pace, 100.0) == ["a"]
    assert pace.next_due() == 100.5
    assert taken(pace, 100.4) == []
    assert taken(pace, 100.5) == ["b"]
    assert taken(pace, 109.0) == ["c"]


def test_an_idle_time_is_not_saved_up_at_slow_rates() -> None:
    pace: Pace[str] = Pace(requests_per_second=2.0, max_active_per_host=10)
    pace.put("host", "a")
    assert taken(pace, 100.0) == ["a"]
    pace.put("host", "b")
    pace.put("host", "c")

    assert taken(pace, 200.0) == ["b"]


def test_a_fast_rate_makes_up_for_a_twentieth_of_a_second() -> None:
    pace: Pace[str] = Pace(requests_per_second=128.0, max_active_per_host=100)
    for number in range(50):
        pace.put("host", str(number))

    assert len(taken(pace, 100.0)) == 7  # one now, and 6 for the last 50 ms, at 7.8 ms each


def test_hosts_do_not_wait_for_each_other() -> None:
    pace: Pace[str] = Pace(requests_per_second=1.0, max_active_per_host=1)
    for item in ("a1", "a2"):
        pace.put("a", item)
    pace.put("b", "b1")

    assert taken(pace, 100.0) == ["a1", "b1"]


def test_a_host_has_so_many_connections_and_no_more() -> None:
    pace: Pace[str] = Pace(requests_per_second=1000.0, max_active_per_host=2)
    for item in "abc":
        pace.put("host", item)

    assert taken(pace, 100.0) == ["a", "b"]
    assert pace.next_due() is None
    pace.release("host")
    assert taken(pace, 200.0) == ["c"]


def test_a_host_that_is_held_is_left_alone_until_then() -> None:
    pace: Pace[str] = Pace(requests_per_second=1000.0, max_active_per_host=2)
    pace.put("host", "a")

    pace.hold("host", until=150.0)

    assert taken(pace, 149.9) == []
    assert taken(pace, 150.0) == ["a"]


def test_a_crawl_delay_slows_down_and_never_speeds_up() -> None:
    pace: Pace[str] = Pace(requests_per_second=1.0, max_active_per_host=9)
    for item in "abc":
        pace.put("host", item)

    pace.slow_down("host", interval_seconds=0.1)
    assert taken(pace, 100.0) == ["a"]
    assert pace.next_due() == 101.0
    pace.slow_down("host", interval_seconds=5.0)
    assert taken(pace, 101.0) == ["b"]
    assert pace.next_due() == 106.0
