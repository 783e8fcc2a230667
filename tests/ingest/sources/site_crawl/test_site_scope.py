"""Which pages belong to a crawl: hosts, patterns, and addresses without end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from crawls import crawl, page
from faulty_web import HOST, SITE, Reply, Web, serve

from openalign.ingest.sources.crawl import SiteSource
from openalign.ingest.sources.site_crawl.crawl_reading import seeds_by_site
from openalign.ingest.sources.site_crawl.scope import LinkPlace, Scope

SHOP = f"http://shop.{HOST}"


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({}) as running:
        yield running


def place_of(path: str, **settings: object) -> str:
    source = SiteSource(seeds=(SITE,), **settings)  # pyright: ignore[reportArgumentType]
    return Scope(HOST, source).place_of(SITE + path).value


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        pytest.param("/art/", "/art/x.html", True, id="the start of a path"),
        pytest.param("/art/", "/art", False, id="no shorter path"),
        pytest.param("/art/", "/en/art/", False, id="nor one in the middle"),
        pytest.param("*/art/", "/en/art/x", True, id="anything before it"),
        pytest.param("/*/x", "/en/art/x", True, id="anything in the middle"),
        pytest.param("/*.html$", "/a.html", True, id="the end"),
        pytest.param("/*.html$", "/a.html?print", False, id="a query goes on"),
        pytest.param("/*?", "/a?b=1", True, id="a query"),
        pytest.param("/*?", "/a", False, id="no query"),
        pytest.param("/b\u00fccher/", "/b%C3%BCcher/x", True, id="other letters"),
        pytest.param("/a.b", "/aXb", False, id="a dot is a dot"),
        pytest.param("/Art/", "/art/", False, id="case counts"),
    ],
)
def test_patterns_are_those_of_robots_txt(pattern: str, path: str, *, matches: bool) -> None:
    assert place_of(path, include=(pattern,)) == ("inside" if matches else "left_out")
    assert place_of(path, exclude=(pattern,)) == ("left_out" if matches else "inside")


def test_what_is_excluded_is_left_out_although_it_is_included() -> None:
    settings = {"include": ("/art/", "/en/"), "exclude": ("/art/print/", "/*?")}

    places = {
        path: place_of(path, **settings)
        for path in ("/art/x", "/en/x", "/art/print/x", "/en/x?y", "/other")
    }

    assert places == {
        "/art/x": "inside",
        "/en/x": "inside",
        "/art/print/x": "left_out",
        "/en/x?y": "left_out",
        "/other": "left_out",
    }


@pytest.mark.parametrize(
    "pattern", ["art/", "", "/a b", "/a#b", "/a$b", "http://a.example/", "^/art", "/a\n/b"]
)
@pytest.mark.parametrize("name", ["include", "exclude"])
def test_a_pattern_of_another_form_is_an_error(name: str, pattern: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must hold patterns of paths as robots\.txt"):
        place_of("/", **{name: (pattern,)})


def test_long_addresses_and_names_without_end_are_left_out() -> None:
    room = "x" * (100 - len(SITE) - 1)

    assert place_of(f"/{room}", max_url_chars=100) == "inside"
    assert place_of(f"/{room}x", max_url_chars=100) == "left_out"
    assert place_of("/a/b/a/b/a/b") == "inside"
    assert place_of("/a/b/a/b/a/b/a") == "left_out"
    assert place_of("/a//b//c//d//e/") == "inside"  # nothing between slashes is no name
    assert place_of("/a/a", max_segment_repeats=1) == "left_out"
    assert place_of("/x?a/a/a/a/a/a") == "inside"


@pytest.mark.parametrize(
    ("scope", "host", "place"),
    [
        pytest.param("host", HOST, LinkPlace.INSIDE, id="its own host"),
        pytest.param("host", f"www.{HOST}", LinkPlace.ELSEWHERE, id="www is another host"),
        pytest.param("domain", f"www.{HOST}", LinkPlace.INSIDE, id="www is of the domain"),
        pytest.param("domain", f"a.b.{HOST}", LinkPlace.INSIDE, id="two names below"),
        pytest.param("domain", HOST, LinkPlace.INSIDE, id="the domain itself"),
        pytest.param("domain", f"evil{HOST}", LinkPlace.ELSEWHERE, id="only whole names count"),
        pytest.param(
            "domain", f"{HOST}.evil.example", LinkPlace.ELSEWHERE, id="only its end counts"
        ),
        pytest.param("domain", "example", LinkPlace.ELSEWHERE, id="nothing above"),
    ],
)
def test_a_site_is_a_host_or_a_domain(scope: str, host: str, place: LinkPlace) -> None:
    source = SiteSource(seeds=(SITE,), scope=scope)  # pyright: ignore[reportArgumentType]

    assert Scope(HOST, source).place_of(f"http://{host}/") is place


def test_seeds_of_one_domain_are_one_site() -> None:
    seeds = (
        "http://www.a.example/",
        "http://a.example/x",
        "http://b.a.example/",
        "http://aa.example/",
        "http://www.shop.aa.example/",
    )

    assert seeds_by_site(SiteSource(seeds=seeds, scope="domain")) == [
        ("a.example", "http://a.example/x"),
        ("aa.example", "http://aa.example/"),
        ("a.example", "http://b.a.example/"),
        ("a.example", "http://www.a.example/"),
        ("aa.example", "http://www.shop.aa.example/"),
    ]
    assert [site for site, _ in seeds_by_site(SiteSource(seeds=seeds))] == [
        "a.example",
        "aa.example",
        "b.a.example",
        "www.a.example",
        "www.shop.aa.example",
    ]


def test_pages_that_a_setting_leaves_out_are_listed_and_not_asked_for(
    web: Web, tmp_path: Path
) -> None:
    web.routes |= {
        "/": page("/art/x", "/login", "/art/print/x", "http://other.example/"),
        "/art/x": page("/art/y", "/login", "/"),
        "/art/y": page(alt="cat"),
    }

    crawled = crawl(web, tmp_path, include=("/art/",), exclude=("/art/print/",), sitemaps=False)

    assert {url: (p["depth"], p["state"]) for url, p in crawled.pages.items()} == {
        "/": (0, "parsed"),  # a seed is read whatever the patterns say
        "/art/x": (1, "parsed"),
        "/art/y": (2, "parsed"),
        "/login": (1, "out_of_scope"),
        "/art/print/x": (1, "out_of_scope"),
    }
    assert sum(len(piece.pages) for piece in crawled.pieces) == 5
    assert set(web.asked) == {"/robots.txt", "/", "/art/x", "/art/y"}
    assert [row["alt_text"] for row in crawled.rows] == ["cat"]


def test_a_redirect_leads_to_no_other_site_and_to_nothing_excluded(
    web: Web, tmp_path: Path
) -> None:
    def to(target: str) -> Reply:
        return Reply(status=302, headers=[("Location", target)])

    web.routes |= {
        "/": page("/a", "/b", "/c"),
        "/a": to("http://other.example/"),
        "/b": to("/private/b"),
        "/c": to("/elsewhere"),
        "/elsewhere": page(alt="cat"),
    }

    crawled = crawl(web, tmp_path, include=("/a", "/b", "/c"), exclude=("/private/",))

    assert {url: (p["state"], p["http_status"]) for url, p in crawled.pages.items()} == {
        "/": ("parsed", 200),
        "/a": ("out_of_scope", 302),
        "/b": ("out_of_scope", 302),
        "/c": ("parsed", 200),
    }
    assert crawled.rows[0]["page_url"] == f"{SITE}/elsewhere"
    assert web.asked["/private/b"] == 0


def test_all_hosts_of_a_domain_are_one_crawl_with_one_budget(web: Web, tmp_path: Path) -> None:
    hosts = (HOST, f"shop.{HOST}", f"www.{HOST}")
    reached = {"connect_to": dict.fromkeys(hosts, web.address)}
    web.routes |= {
        f"{HOST}/": page(f"{SHOP}/", f"http://www.{HOST}/", "http://other.example/"),
        f"shop.{HOST}/": page("/x", alt="cat"),
        f"shop.{HOST}/x": page(),
        f"www.{HOST}/": Reply(status=301, headers=[("Location", f"{SITE}/y")]),
        f"{HOST}/y": page(alt="dog"),
    }

    whole = crawl(web, tmp_path / "a", reached, scope="domain")
    less = crawl(web, tmp_path / "b", reached, scope="domain", max_pages=2)

    assert whole.states() == {
        "/": "parsed",
        f"{SHOP}/": "parsed",
        f"http://www.{HOST}/": "parsed",
        f"{SHOP}/x": "parsed",
    }
    assert sorted(row["alt_text"] for row in whole.rows) == ["cat", "dog"]
    assert less.states() == {
        "/": "parsed",
        f"{SHOP}/": "parsed",
        f"http://www.{HOST}/": "out_of_budget",
        f"{SHOP}/x": "out_of_budget",
    }
