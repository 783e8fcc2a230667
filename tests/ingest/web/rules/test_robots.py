import pytest

from openalign.ingest.web.rules.robots import MAX_ROBOTS_BYTES, rules_from

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
        pytest.param("User-agent: open\nDisallow: /", "/x", True, id="a name that begins ours"),
        pytest.param("User-agent: align\nDisallow: /", "/x", True, id="a name inside ours"),
        pytest.param("User-agent: a\nDisallow: /", "/x", True, id="a name of one letter"),
        pytest.param(
            "User-agent: openalign-image\nDisallow: /",
            "/x",
            True,
            id="a name that begins with ours",
        ),
        pytest.param(
            "User-agent: openalign\nDisallow: /a\n\nUser-agent: x\nDisallow: /\n\n"
            "User-agent: OpenALIGN\nDisallow: /b",
            "/b",
            False,
            id="two groups of one name are one",
        ),
        pytest.param(
            "User-agent: *\nDisallow: /a\n\nUser-agent: x\nDisallow: /\n\n"
            "User-agent: *\nDisallow: /b",
            "/b",
            False,
            id="two groups for everybody are one",
        ),
        pytest.param(
            "User-agent: *\nDisallow: /\n\nUser-agent: openalign\nDisallow: /a",
            "/b",
            True,
            id="a group of ours replaces that for everybody",
        ),
        pytest.param(
            "User-agent: openalign\nCrawl-delay: 5\nUser-agent: b\nDisallow: /d",
            "/d",
            False,
            id="a record that is not the standard's ends no names",
        ),
        pytest.param(
            "User-agent: a\nSitemap: http://x\nUser-agent: *\nDisallow: /d",
            "/d",
            False,
            id="nor does a sitemap",
        ),
        pytest.param(
            "User-agent: *\nDisallow: /d\nUser-agent: b\nDisallow: /x",
            "/x",
            True,
            id="a rule ends them",
        ),
        pytest.param("User-agent: *\rDisallow: /d\r", "/d", False, id="old line ends"),
        pytest.param("User-agent: *\vDisallow: /", "/x", True, id="a tab is no line end"),
        pytest.param(
            "User-agent: *\nDisallow: /a\u2028Disallow: /e", "/e", True, id="nor is a separator"
        ),
        pytest.param(
            "User-agent: *\nAllow: /x\x85Disallow: /", "/e", True, id="nor is a next line"
        ),
        pytest.param(
            "User-agent: *\nDisallow: /a\u2028b", "/a%E2%80%A8b", False, id="it is part of a path"
        ),
        pytest.param("User-agent: *#x\nDisallow: /d # c", "/d", False, id="comments"),
        pytest.param("User-agent: *\nDisallow /d", "/d", False, id="no colon"),
        pytest.param("User-agent: *\nDissallow: /d", "/d", False, id="misspelled"),
        pytest.param("Useragent: *\nDisallow: /d", "/d", False, id="misspelled name"),
        pytest.param("User-agent: *\n\nDisallow: /d", "/d", False, id="blank line in a group"),
        pytest.param(
            "Disallow: /\nUser-agent: x\nDisallow:", "/d", True, id="a rule before any name"
        ),
        pytest.param("User-agent: *\nDisallow: /ü", "/%C3%BC", False, id="UTF-8"),
        pytest.param("User-agent: *\nDisallow: /%c3%bc", "/%C3%BC", False, id="case of escapes"),
        pytest.param("User-agent: *\nDisallow: /a%2Fb", "/a/b", True, id="an escaped slash"),
        pytest.param("User-agent: *\nDisallow: /p\nAllow: /p", "/p", True, id="allow wins a tie"),
        pytest.param("User-agent: *\nDisallow: /", "/robots.txt", True, id="robots.txt itself"),
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


def test_a_rule_that_the_limit_cuts_is_not_read() -> None:
    # As far as it is read, the last line says `Disallow: /`.
    start = b"User-agent: *\n#"
    rule = b"\nDisallow: /private/only\n"
    padding = b"x" * (MAX_ROBOTS_BYTES - len(start) - len(b"\nDisallow: /"))

    rules = rules_from(200, start + padding + rule)

    assert rules.reason_against(f"{SITE}/public") is None


def test_broken_bytes_cost_their_own_line() -> None:
    rules = rules_from(200, "User-agent: *\nDisallow: /\xfc\nDisallow: /e\0\n".encode("latin-1"))

    assert rules.reason_against(f"{SITE}/e") is not None
    assert rules.reason_against(f"{SITE}/f") is None


@pytest.mark.parametrize(
    ("text", "path", "record"),
    [
        pytest.param(
            "User-agent: *\nAllow: /\nContent-Signal: search=yes, ai-train=no",
            "/x",
            "content-signal: ai-train=no",
            id="as contentsignals.org has it",
        ),
        pytest.param(
            "User-Agent: *\nContent-signal: search=yes,ai-train=no,use=reference\nAllow: /",
            "/x",
            "content-signal: ai-train=no",
            id="as Cloudflare writes it",
        ),
        pytest.param(
            "User-agent: *\nContent-Signal: search=yes; ai-train=no",
            "/x",
            "content-signal: ai-train=no",
            id="signals that a semicolon parts",
        ),
        pytest.param(
            'User-agent: *\nContent-Signal: ai-train="no"',
            "/x",
            "content-signal: ai-train=no",
            id="a word in quotes",
        ),
        pytest.param(
            "User-agent: *\nContent-Usage: train-ai=n;x=1;train-ai=y",
            "/x",
            "content-usage: train-ai=n",
            id="a parameter grants nothing",
        ),
        pytest.param(
            "User-agent: *\nContent-Signal: ai-train=yes", "/x", None, id="training is granted"
        ),
        pytest.param(
            "User-agent: *\nContent-Signal: search=no, ai-input=no", "/x", None, id="other uses"
        ),
        pytest.param(
            "User-agent: *\nContent-Signal: ai-training=no", "/x", None, id="another word"
        ),
        pytest.param(
            "User-agent: *\nContent-Signal: ai-train=no\nContent-Signal: /free/ ai-train=yes",
            "/free/x",
            None,
            id="a longer path grants it",
        ),
        pytest.param(
            "User-agent: *\nContent-Signal: /art/ ai-train=no",
            "/art/x",
            "content-signal: ai-train=no",
            id="a path alone",
        ),
        pytest.param(
            "User-agent: *\nContent-Signal: /art/ ai-train=no", "/x", None, id="another path"
        ),
        pytest.param(
            "User-agent: other\nContent-Signal: ai-train=no\n\nUser-agent: *\nDisallow: /d",
            "/x",
            None,
            id="said to another",
        ),
        pytest.param(
            "User-agent: *\nContent-Signal: ai-train=no\n\nUser-agent: OpenALIGN\nDisallow: /d",
            "/x",
            None,
            id="we have a group of our own",
        ),
        pytest.param(
            "User-agent: *\nContent-Signal: ai-train=yes\nUser-agent: GPTBot\nDisallow: /",
            "/x",
            None,
            id="it ends the names of a group",
        ),
        pytest.param(
            "User-agent: *\nContent-Usage: train-ai=n",
            "/x",
            "content-usage: train-ai=n",
            id="as the IETF's draft has it",
        ),
        pytest.param(
            "User-agent: *\nContent-Usage: /a/\ttrain-ai=n\nContent-Usage: train-ai=y",
            "/a/x",
            "content-usage: train-ai=n",
            id="with a path",
        ),
        pytest.param(
            "User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: train-ai=y",
            "/x",
            "content-usage: train-ai=n",
            id="of two for one path the stricter",
        ),
        pytest.param(
            "User-agent: *\nAllow: /\nDisallow: /never/\nContent-Usage: train-ai=n\n"
            "Content-Usage: /ai-ok/ train-ai=y",
            "/ai-ok/test",
            None,
            id="the draft's example, where it grants",
        ),
        pytest.param(
            "User-agent: *\nContent-Usage: search=y, train-ai=n;until=2030",
            "/x",
            "content-usage: train-ai=n",
            id="with a parameter",
        ),
    ],
)
def test_signals_reserve_training(text: str, path: str, record: str | None) -> None:
    rules = rules_from(200, text.encode())

    assert rules.reservation_of(SITE + path) == record
    assert rules.reason_against(SITE + path) is None


def test_sitemaps_stand_anywhere_in_the_file() -> None:
    text = "Sitemap: /a.xml\nUser-agent: x\nDisallow: /\nsitemap:https://b.example/b.xml # b"

    assert rules_from(200, text.encode()).sitemaps == ["/a.xml", "https://b.example/b.xml"]
    assert rules_from(404, text.encode()).sitemaps == []


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        *(("2.5", 2.5), ("30", 30.0), ("3000", 30.0), ("2,5", 2.5), ("10, 5", 10.0), ("1e1", 10.0)),
        *(("1s", 1.0), ("10 seconds", 10.0), ("5 sec.", 5.0), (".5; x", 0.5)),
        *(("5.", 5.0), ("+5", 5.0), ("1e+1", 10.0), ("1e-1", 0.1)),
    ],
)
def test_a_crawl_delay_is_kept_up_to_half_a_minute(line: str, seconds: float) -> None:
    rules = rules_from(200, f"User-agent: *\nCrawl-delay: {line}".encode())

    assert rules.crawl_delay_seconds == seconds
    assert rules_from(404, b"").crawl_delay_seconds == 0.0


@pytest.mark.parametrize("line", ["nan", "inf", "-3", "500ms", "1 h", "0"])
def test_a_crawl_delay_that_is_no_pause_is_none(line: str) -> None:
    rules = rules_from(200, f"User-agent: *\nCrawl-delay: {line}".encode())

    assert rules.crawl_delay_seconds == 0.0


def test_a_crawl_delay_is_for_the_names_above_it() -> None:
    text = "User-agent: x\nCrawl-delay: 7\nUser-agent: *\nDisallow: /e"

    assert rules_from(200, text.encode()).crawl_delay_seconds == 0.0
    assert rules_from(200, text.replace("x", "openalign", 1).encode()).crawl_delay_seconds == 7.0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_first_bytes_may_tell_the_encoding(encoding: str) -> None:
    rules = rules_from(200, "User-agent: *\nDisallow: /ü".encode(encoding))

    assert rules.reason_against("http://a.example/%C3%BC.jpg") == "robots.txt disallows it"
    assert rules.reason_against("http://a.example/u.jpg") is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_the_last_whole_line_counts_where_a_file_is_cut(encoding: str) -> None:
    start, last = "\ufeffUser-agent: *\n#", "\nDisallow: /last\n"
    num_left = MAX_ROBOTS_BYTES - len((start + last).encode(encoding))
    filled = start + "x" * (num_left // len("x".encode(encoding))) + last

    rules = rules_from(200, (filled + "Disallow: /cut/off").encode(encoding))

    assert rules.reason_against("http://a.example/last") == "robots.txt disallows it"
    assert rules.reason_against("http://a.example/cut/off") is None
