import pytest

from openalign.ingest.web.robots import (
    MAX_ROBOTS_BYTES,
    rules_from,
)

SITE = "http://site.example"


@pytest.mark.parametrize(
    ("status", "is_allowed"),
    [
        pytest.param(404, True, id="unavailable"),
        pytest.param(403, True, id="unavailable, by order"),
        pytest.param(499, True, id="last of the unavailable"),
        pytest.param(429, False, id="too many requests"),
        pytest.param(500, False, id="first of the unreachable"),
        pytest.param(503, False, id="unreachable"),
    ],
)
def test_a_robots_txt_that_is_not_there_allows_all_and_a_broken_one_nothing(
    status: int, *, is_allowed: bool
) -> None:
    assert (rules_from(status, b"").reason_against(f"{SITE}/x") is None) == is_allowed


@pytest.mark.parametrize(
    ("text", "path", "is_allowed"),
    [
        pytest.param("", "/x", True, id="empty"),
        pytest.param("User-agent: *\nDisallow: /private/", "/private/x", False, id="disallowed"),
        pytest.param("User-agent: *\nDisallow: /private/", "/privat", True, id="another path"),
        pytest.param("User-agent: *\nDisallow:", "/x", True, id="nothing disallowed"),
        pytest.param(
            "User-agent: *\nDisallow: /\nUser-agent: openalign\nAllow: /", "/x", True, id="we may"
        ),
        pytest.param(
            "User-agent: OpenALIGN\nDisallow: /\nUser-agent: *\nAllow: /", "/x", False, id="not we"
        ),
        pytest.param("User-agent: other\nDisallow: /", "/x", True, id="about somebody else"),
        pytest.param(
            "User-agent: OpenALIGN/0.1.0\nDisallow: /", "/x", False, id="our name with a version"
        ),
        pytest.param(
            " user-agent : openalign/2 (+me) # us\r\nDisallow: /", "/x", False, id="and with more"
        ),
        pytest.param(
            "User-agent: other/0.1.0\nDisallow: /", "/x", True, id="another with a version"
        ),
        pytest.param(
            "User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", True, id="longer rule wins"
        ),
        pytest.param("User-agent: *\nDisallow: /*.png$", "/a/x.png", False, id="wildcards"),
        pytest.param("User-agent: *\nDisallow: /*.png$", "/a/x.png?1", True, id="end of line"),
        pytest.param("\ufeffUser-agent: *\nDisallow: /", "/x", False, id="byte order mark"),
        pytest.param("<html>not found</html>", "/x", True, id="not a robots.txt at all"),
    ],
)
def test_robots_txt_is_kept_to(text: str, path: str, *, is_allowed: bool) -> None:
    reason = rules_from(200, text.encode()).reason_against(SITE + path)

    assert (reason is None) == is_allowed


def test_what_stands_behind_the_first_500_kib_is_not_read() -> None:
    rule = b"User-agent: *\nDisallow: /x\n"
    padding = b"#" * (MAX_ROBOTS_BYTES - len(rule) - 1) + b"\n"

    assert rules_from(200, padding + rule).reason_against(f"{SITE}/x") is not None
    assert rules_from(200, padding + b"##" + rule).reason_against(f"{SITE}/x") is None


@pytest.mark.parametrize(("line", "seconds"), [("2.5", 2.5), ("30", 30.0), ("3000", 30.0)])
def test_a_crawl_delay_is_kept_up_to_half_a_minute(line: str, seconds: float) -> None:
    rules = rules_from(200, f"User-agent: *\nCrawl-delay: {line}".encode())

    assert rules.crawl_delay_seconds == seconds
    assert rules_from(404, b"").crawl_delay_seconds == 0.0
