import pytest

from openalign.ingest.web.robots import (
    MAX_ROBOTS_BYTES,
    opt_out_in,
    opt_out_on_page,
    rules_from,
    withheld_by,
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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("noai", "noai", id="noai"),
        pytest.param("NoImageAI", "noimageai", id="noimageai, any case"),
        pytest.param("nofollow, noindex", "noindex", id="second of a list"),
        pytest.param("none", "none", id="none"),
        pytest.param("nofollow", None, id="nofollow alone"),
        pytest.param("noarchive, max-snippet: -1", None, id="nothing to us"),
        pytest.param("openalign: noai", "noai", id="said to us"),
        pytest.param("*: noai", "noai", id="said to all"),
        pytest.param("otherbot: noai", None, id="said to another"),
        pytest.param("otherbot: nofollow, noindex", None, id="the name holds for the list"),
        pytest.param("otherbot: noindex, openalign: noai", "noai", id="until the next name"),
        pytest.param(
            "unavailable_after: 25 Jun 2030 15:00:00 PST, noai", "noai", id="a value is no name"
        ),
        pytest.param(
            "unavailable_after: Wed, 02 Oct 2002 13:00:00 GMT, noai",
            "noai",
            id="a date with a comma is no name",
        ),
        pytest.param(
            "otherbot: unavailable_after: Wed, 02 Oct 2002 13:00:00 GMT, noai",
            None,
            id="a date does not end what a name limits",
        ),
        pytest.param("other-bot_2: noai", None, id="said to another, with all a name may have"),
        pytest.param("max-snippet: 5, noai", "noai", id="a number is no name"),
        pytest.param("", None, id="empty"),
        pytest.param("noaiart", None, id="a longer word"),
    ],
)
def test_robots_directives(value: str, expected: str | None) -> None:
    assert withheld_by(value) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([("x-robots-tag", "noai")], "X-Robots-Tag: noai", id="one header"),
        pytest.param(
            [("x-robots-tag", "nofollow"), ("x-robots-tag", "none")],
            "X-Robots-Tag: none",
            id="second of two headers",
        ),
        pytest.param(
            [("x-robots-tag", "otherbot: noindex"), ("x-robots-tag", "nofollow")],
            None,
            id="a name ends with its header",
        ),
        pytest.param([("tdm-reservation", "1")], "TDM-Reservation: 1", id="reserved"),
        pytest.param([("tdm-reservation", "0")], None, id="not reserved"),
        pytest.param([("content-type", "noai")], None, id="another header"),
    ],
)
def test_headers_that_withhold(headers: list[tuple[str, str]], expected: str | None) -> None:
    assert opt_out_in(headers) == expected


def test_a_page_withholds_itself_with_any_of_its_meta_elements() -> None:
    assert opt_out_on_page(["nofollow", "noai"]) == "noai"
    assert opt_out_on_page(["index, follow"]) is None
