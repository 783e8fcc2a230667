"""Patterns on paths, beside a slow matcher that tries everything, and beside Protego."""

import random
from functools import cache

import pytest
from protego import Protego

from openalign.ingest.web.rules.path_rules import PathPattern, PathRules, comparable_path

SITE = "http://site.example"
NUM_ROUNDS = 2000


@pytest.mark.parametrize(
    ("pattern", "path", "is_match"),
    [
        pytest.param("/", "/x", True, id="everything"),
        pytest.param("/a", "/a/b", True, id="the start of a path"),
        pytest.param("/a", "/A", False, id="another case"),
        pytest.param("/a/", "/a", False, id="more than the path"),
        pytest.param("a", "/a", False, id="no slash"),
        pytest.param("*a", "/ba", True, id="any characters first"),
        pytest.param("/a*c", "/abbc/d", True, id="any characters"),
        pytest.param("/a*c", "/ac", True, id="none is any"),
        pytest.param("/a**c", "/abc", True, id="twice any"),
        pytest.param("/*c*b", "/abcd", False, id="in the other order"),
        pytest.param("/a$", "/a", True, id="whole"),
        pytest.param("/a$", "/ab", False, id="not whole"),
        pytest.param("/a$", "/a?b", False, id="a query is more"),
        pytest.param("/*.png$", "/a.png.png", True, id="the end stands twice"),
        pytest.param("/*ab$", "/ab", True, id="the end is all there is"),
        pytest.param("/ab*b$", "/ab", False, id="a character serves once"),
        pytest.param("/a*$", "/abc", True, id="any end"),
        pytest.param("/a$b", "/a$b", True, id="a dollar within is one"),
        pytest.param("/a$b", "/a", False, id="and no end"),
        pytest.param("/file-%2A", "/file-*", True, id="an escaped star is one"),
        pytest.param("/file-%2A", "/file-x", False, id="and not any character"),
        pytest.param("/foo-%24", "/foo-$", True, id="an escaped dollar is one"),
        pytest.param("/foo-%24", "/foo-", False, id="and no end"),
        pytest.param("/foo/bar?baz=quz", "/foo/bar?baz=quz", True, id="query"),
        pytest.param(
            "/foo/bar?baz=https://foo.bar",
            "/foo/bar?baz=https%3A%2F%2Ffoo.bar",
            True,
            id="delimiters in a query",
        ),
        pytest.param("/foo/bar/ツ", "/foo/bar/%E3%83%84", True, id="UTF-8"),
        pytest.param("/foo/bar/%e3%83%84", "/foo/bar/%E3%83%84", True, id="escapes in small"),
        pytest.param("/foo/bar/%62%61%7A", "/foo/bar/baz", True, id="needless escapes"),
        pytest.param("/foo/bar/baz", "/foo/bar/%62%61%7A", True, id="in the URL"),
        pytest.param("/a%2Fb", "/a/b", False, id="an escaped slash in a path"),
        pytest.param("/a%3Fb", "/a?b", False, id="an escaped question mark"),
        pytest.param("/a%zz", "/a%zz", True, id="no escape"),
        pytest.param("/a b|c", "/a%20b|c", True, id="what a URL may not hold"),
        pytest.param("/a?*x=/b", "/a?y=1&x=%2Fb", True, id="stars in a query"),
    ],
)
def test_a_pattern_matches(pattern: str, path: str, *, is_match: bool) -> None:
    assert PathPattern(pattern).matches(comparable_path(SITE + path)) == is_match


@pytest.mark.parametrize(
    ("rules", "path", "is_allowed"),
    [
        pytest.param([(True, "/p"), (False, "/")], "/page", True, id="the longer allows"),
        pytest.param([(False, "/page"), (True, "/p")], "/page", False, id="the longer disallows"),
        pytest.param([(False, "/p*"), (True, "/p")], "/page", False, id="a star is an octet"),
        pytest.param([(False, "/ü"), (True, "/ü*x")], "/%C3%BCx", True, id="as escaped"),
        pytest.param([(False, "/ü"), (True, "/*aaaa")], "/%C3%BCaaaa", False, id="7 octets of 6"),
        pytest.param([], "/x", True, id="no rule"),
    ],
)
def test_the_longest_pattern_decides(
    rules: list[tuple[bool, str]], path: str, *, is_allowed: bool
) -> None:
    assert PathRules(rules).allow(SITE + path) == is_allowed
    assert PathRules(rules[::-1]).allow(SITE + path) == is_allowed


@pytest.mark.parametrize("ties_allow", [True, False])
def test_of_patterns_as_long_as_each_other_the_one_that_was_named_decides(
    *, ties_allow: bool
) -> None:
    for rules in ([(True, "/a*"), (False, "/*b")], [(False, "/*b"), (True, "/a*")]):
        assert PathRules(rules, ties_allow=ties_allow).allow(f"{SITE}/ab") == ties_allow


# What a token means where it stands in a path: escapes equal what they stand for, or do not.
MEANINGS = {
    "a": "a",
    "%61": "a",
    "b": "b",
    "/": "/",
    "%2F": "%2F",
    "%2f": "%2F",
    "ü": "%C3%BC",
    "%C3%BC": "%C3%BC",
    "%c3%bc": "%C3%BC",
    "%2A": "%2A",
}


def test_rules_decide_as_a_matcher_that_tries_everything() -> None:
    random_ = random.Random(20)
    num_disallowed = 0
    for _ in range(NUM_ROUNDS):
        rules = [(random_.random() < 0.5, _pattern(random_)) for _ in range(random_.randrange(6))]
        path = ["/", *random_.choices([*MEANINGS, "*"], k=random_.randrange(7))]
        expected = _slow_allow(rules, [MEANINGS.get(token, "%2A") for token in path])

        allowed = PathRules((allows, "".join(tokens)) for allows, tokens in rules).allow(
            SITE + "".join(path)
        )

        assert allowed == expected, (rules, path)
        num_disallowed += not allowed
    assert num_disallowed > NUM_ROUNDS // 10


def test_rules_decide_as_protego_does_where_it_keeps_to_the_standard() -> None:
    # It also takes `$` for itself, an escape for its character, and /index.html for its folder.
    random_ = random.Random(21)
    for _ in range(NUM_ROUNDS):
        rules = [
            (random_.random() < 0.5, "".join(random_.choices("/ab*", k=4)) + end)
            for end in random_.choices(("", "$"), k=5)
        ]
        url = f"{SITE}/{''.join(random_.choices('/ab', k=5))}"
        lines = [f"{'Allow' if allows else 'Disallow'}: {pattern}" for allows, pattern in rules]

        theirs = Protego.parse("\n".join(["User-agent: *", *lines])).can_fetch(url, "*")

        assert PathRules(rules).allow(url) == theirs, (rules, url)


def _pattern(random_: random.Random) -> list[str]:
    tokens = random_.choices([*MEANINGS, "*", "*"], k=random_.randrange(5))
    return ["/", *tokens, *random_.choice(([], ["$"]))]


def _slow_allow(rules: list[tuple[bool, list[str]]], path: list[str]) -> bool:
    """Return what RFC 9309 2.2.2 says, by all ways to lay a pattern on a path."""
    best = (-1, True)
    for allows, tokens in rules:
        pattern = [MEANINGS.get(token, token) for token in tokens]
        if _slow_match(tuple(pattern), tuple(path)):
            best = max(best, (sum(map(len, pattern)), allows))
    return best[1]


@cache
def _slow_match(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    if not pattern:
        return True
    if pattern == ("$",):
        return not path
    if pattern[0] == "*":
        return any(_slow_match(pattern[1:], path[at:]) for at in range(len(path) + 1))
    return bool(path) and pattern[0] == path[0] and _slow_match(pattern[1:], path[1:])
