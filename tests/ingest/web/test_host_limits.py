from openalign.ingest.web.config import HostConfig, WebConfig
from openalign.ingest.web.host_limits import LimitsByHost


def test_a_host_without_settings_of_its_own_has_those_of_all() -> None:
    config = WebConfig(requests_per_second=7.0, hosts={"other.example": HostConfig()})

    limits = LimitsByHost(config).of("cdn.example")

    assert limits.requests_per_second == 7.0
    assert limits.connections_per_host == 4
    assert limits.host_seconds is None


def test_each_setting_comes_from_the_most_specific_name_that_has_it() -> None:
    hosts = {
        "*.example": HostConfig(
            requests_per_second=1.0, connections_per_host=1, host_failures=1, host_seconds=1.0
        ),
        "*.cdn.example": HostConfig(
            requests_per_second=2.0, connections_per_host=2, host_failures=2
        ),
        "cdn.example": HostConfig(requests_per_second=3.0, connections_per_host=3),
        "a.cdn.example": HostConfig(requests_per_second=4.0),
    }
    limits = LimitsByHost(WebConfig(hosts=hosts))

    def of(host: str) -> tuple[float, int, int, float | None]:
        found = limits.of(host)
        settings = (found.requests_per_second, found.connections_per_host)
        return (*settings, found.host_failures, found.host_seconds)

    assert of("a.cdn.example") == (4.0, 2, 2, 1.0)
    assert of("b.cdn.example") == (2.0, 2, 2, 1.0)
    assert of("x.b.cdn.example") == (2.0, 2, 2, 1.0)
    assert of("cdn.example") == (3.0, 3, 1, 1.0)
    assert of("notcdn.example") == (1.0, 1, 1, 1.0)
    assert of("example") == (5.0, 4, 20, None)


def test_an_address_may_have_settings_of_its_own() -> None:
    hosts = {
        "127.0.0.1": HostConfig(connections_per_host=9),
        "[::1]": HostConfig(connections_per_host=8),
    }
    limits = LimitsByHost(WebConfig(hosts=hosts))

    assert limits.of("127.0.0.1").connections_per_host == 9
    assert limits.of("[::1]").connections_per_host == 8
