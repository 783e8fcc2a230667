"""The crawl of one host: which pages are asked for, and how each ends."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from crawls import HTML, crawl, page
from faulty_web import HOST, SITE, Reply, Web, serve

from openalign.errors import InputError
from openalign.ingest.sources.crawl import SiteSource, check
from openalign.ingest.sources.site_crawl.crawl_reading import seeds_by_site


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({}) as running:
        yield running


def test_links_are_followed_breadth_first_to_a_depth(web: Web, tmp_path: Path) -> None:
    web.routes |= {
        "/": page("/a", "/b"),
        "/a": page("/c", "/"),
        "/b": page("/c"),
        "/c": page("/d"),
        "/d": page(),
    }

    crawled = crawl(web, tmp_path, max_depth=2)

    assert {url: (p["depth"], p["state"]) for url, p in crawled.pages.items()} == {
        "/": (0, "parsed"),
        "/a": (1, "parsed"),
        "/b": (1, "parsed"),
        "/c": (2, "parsed"),
        "/d": (3, "out_of_budget"),
    }
    assert web.asked["/d"] == 0
    assert web.asked["/"] == web.asked["/c"] == 1


def test_only_the_seeds_own_host_is_visited(web: Web, tmp_path: Path) -> None:
    web.routes |= {
        "/": page("http://other.example/a", f"https://{HOST}.evil.example/", "/a"),
        "/a": page(),
    }

    assert crawl(web, tmp_path).states() == {"/": "parsed", "/a": "parsed"}
    assert set(web.asked) == {"/robots.txt", "/sitemap.xml", "/", "/a"}


def test_every_page_ends_in_a_state(web: Web, tmp_path: Path) -> None:
    html = b"<img src=x.png alt=cat>"
    endings = {
        "/gone": (Reply(status=404), "http_error", 404),
        "/ill": (Reply(status=500), "http_error", 500),
        "/loop": (Reply(status=302, headers=[("Location", "/loop")]), "http_error", 302),
        "/away": (
            Reply(status=302, headers=[("Location", "http://other.example/")]),
            "out_of_scope",
            302,
        ),
        "/text": (Reply(body=html, headers=[("Content-Type", "text/plain")]), "not_html", 200),
        "/untyped-text": (Reply(body=b"{}"), "not_html", 200),
        "/empty-image": (Reply(headers=[("Content-Type", "image/png")]), "not_html", 200),
        "/private/x": (Reply(body=html), "robots_denied", None),
        "/withheld": (
            Reply(body=html, headers=[*HTML, ("X-Robots-Tag", "noindex")]),
            "robots_denied",
            200,
        ),
        "/withheld-inside": (page(head="<meta name=robots content=noai>"), "robots_denied", 200),
        "/hang-up": (Reply(hang_up=True), "unreachable", None),
        "/untyped": (Reply(body=b"\n <p>hello"), "parsed", 200),
        "/empty": (Reply(headers=HTML), "parsed", 200),
        "/xhtml": (
            Reply(body=html, headers=[("Content-Type", "application/xhtml+xml")]),
            "parsed",
            200,
        ),
    }
    web.routes |= {url: reply for url, (reply, _, _) in endings.items()}
    web.routes["/"] = page(*endings)
    web.routes["/robots.txt"] = Reply(body=b"User-agent: *\nDisallow: /private/")

    crawled = crawl(web, tmp_path, {"num_retries": 0})

    found = {url: (p["state"], p["http_status"]) for url, p in crawled.pages.items()}
    assert found.pop("/") == ("parsed", 200)
    assert found == {url: (state, status) for url, (_, state, status) in endings.items()}
    assert web.asked["/private/x"] == 0
    states = Counter(crawled.states().values())
    assert (states["parsed"], states["robots_denied"]) == (4, 3)
    # Only the page that says it is XHTML holds an image that may be taken.
    assert [row["page_url"] for row in crawled.rows] == [f"{SITE}/xhtml"]


def test_what_a_page_withholds_can_be_taken_by_setting(web: Web, tmp_path: Path) -> None:
    web.routes["/"] = page(alt="cat", head="<meta name=robots content=noai>")

    assert crawl(web, tmp_path / "a").rows == []
    assert len(crawl(web, tmp_path / "b", {"respect_opt_outs": False}).rows) == 1


def test_a_host_without_an_answer_is_unreachable(web: Web, tmp_path: Path) -> None:
    crawled = crawl(web, tmp_path, {"allowed_networks": ()})

    assert crawled.states() == {"/": "unreachable"}


def test_the_budget_goes_to_the_first_pages_of_each_depth(web: Web, tmp_path: Path) -> None:
    web.routes |= {
        "/": page("/d", "/c", "/b", "/private"),
        "/b": page("/a"),
        "/c": page("/a"),
        "/d": page(),
        "/robots.txt": Reply(body=b"User-agent: *\nDisallow: /private"),
    }

    states = crawl(web, tmp_path, max_pages=3).states()

    assert states == {
        "/": "parsed",
        "/b": "parsed",
        "/c": "parsed",
        "/d": "out_of_budget",
        "/private": "out_of_budget",
        "/a": "out_of_budget",
    }


def test_a_page_that_may_not_be_asked_for_costs_no_budget(web: Web, tmp_path: Path) -> None:
    web.routes |= {
        "/": page("/a", "/b", "/c"),
        "/b": page(),
        "/c": page(),
        "/robots.txt": Reply(body=b"User-agent: *\nDisallow: /a"),
    }

    assert crawl(web, tmp_path, max_pages=3).states() == {
        "/": "parsed",
        "/a": "robots_denied",
        "/b": "parsed",
        "/c": "parsed",
    }


def test_training_that_robots_txt_reserves_withholds_pages_unasked(
    web: Web, tmp_path: Path
) -> None:
    web.routes |= {"/": page("/a", "/free/b", "/free/c"), "/a": page(alt="cat")}
    web.routes |= {"/free/b": page(alt="dog"), "/free/c": page()}
    web.routes["/robots.txt"] = Reply(
        body=b"User-agent: *\nContent-Signal: /a ai-train=no\nContent-Signal: ai-train=yes"
    )

    crawled = crawl(web, tmp_path / "a", max_pages=3)

    assert crawled.states() == {
        "/": "parsed",
        "/a": "robots_denied",  # it costs no budget
        "/free/b": "parsed",
        "/free/c": "parsed",
    }
    assert web.asked["/a"] == 0
    anyway = crawl(web, tmp_path / "b", {"respect_opt_outs": False})
    assert sorted(row["alt_text"] for row in anyway.rows) == ["cat", "dog"]


def test_a_page_that_was_asked_for_costs_budget_whatever_it_says(web: Web, tmp_path: Path) -> None:
    web.routes |= {
        "/": page("/a", "/b", "/c", "/d"),
        "/a": page(head="<meta name=robots content=noindex>"),
        "/b": Reply(body=b"<p>b", headers=[*HTML, ("X-Robots-Tag", "noindex")]),
        "/c": Reply(status=302, headers=[("Location", "/private")]),
        "/d": page(),
        "/robots.txt": Reply(body=b"User-agent: *\nDisallow: /private"),
    }

    crawled = crawl(web, tmp_path, max_pages=4)

    assert crawled.states() == {
        "/": "parsed",
        "/a": "robots_denied",
        "/b": "robots_denied",
        "/c": "robots_denied",
        "/d": "out_of_budget",
    }
    assert crawled.pages["/c"]["http_status"] == 302
    assert crawl(web, tmp_path, max_pages=4).pieces == crawled.pieces


def test_a_server_names_the_language_of_a_page_that_does_not(web: Web, tmp_path: Path) -> None:
    body = b"<img src=/x.png alt=Katze><img lang=en src=/y.png alt=cat>"
    web.routes["/"] = Reply(body=body, headers=[*HTML, ("Content-Language", "de-DE")])

    rows = crawl(web, tmp_path).rows

    languages = {row["alt_text"]: row["page_language"] for row in rows}
    assert languages == {"Katze": "de", "cat": "en"}


def test_candidates_know_their_page_and_its_language(web: Web, tmp_path: Path) -> None:
    web.routes |= {"/": Reply(status=301, headers=[("Location", "/start")])}
    web.routes |= {"/start": page(alt="cat", lang="de-AT")}

    crawled = crawl(web, tmp_path)

    [row] = crawled.rows
    assert row["page_url"] == crawled.pages["/"]["final_url"] == f"{SITE}/start"
    assert (row["image_url"], row["alt_text"]) == (f"{SITE}/p/cat.png", "cat")
    assert row["page_language"] == "de"
    assert crawled.pages["/"]["num_candidates"] == 1
    assert crawled.counts == {"found": 1}


def test_what_a_page_drops_is_counted(web: Web, tmp_path: Path) -> None:
    body = b"<img src=a.png><img src='data:x' alt=cat><img alt=cat><img src=b.png alt=cat>"
    web.routes["/"] = Reply(body=body, headers=HTML)

    counts = crawl(web, tmp_path).counts

    assert counts == {
        "found": 4,
        "no_alt_text": 1,
        "data_url": 1,
        "bad_url": 1,
    }


def test_a_page_is_read_as_far_as_the_limit(web: Web, tmp_path: Path) -> None:
    start = b"<img src=a.png alt=cat>"
    web.routes["/"] = Reply(body=start + b" " * 10_000 + b"<img src=b.png alt=dog>", headers=HTML)

    crawled = crawl(web, tmp_path, max_page_bytes=5_000)

    assert [row["alt_text"] for row in crawled.rows] == ["cat"]
    assert crawled.states() == {"/": "cut"}


def test_a_page_of_just_the_limit_is_not_cut(web: Web, tmp_path: Path) -> None:
    body = "<img src=a.png alt='\u043a\u043e\u0442'>".encode()
    web.routes["/"] = Reply(body=body, headers=[("Content-Type", "text/html")])

    whole = crawl(web, tmp_path / "a", max_page_bytes=len(body))
    cut = crawl(web, tmp_path / "b", max_page_bytes=len(body) - 3)

    assert (whole.states(), len(whole.rows)) == ({"/": "parsed"}, 1)
    assert (cut.states(), cut.rows) == ({"/": "cut"}, [])


def test_a_page_beyond_its_budget_costs_itself_alone(web: Web, tmp_path: Path) -> None:
    web.routes |= {"/": page("/a", "/b"), "/b": page(alt="cat")}
    web.routes |= {"/a": Reply(body=b"<img src=a alt=dog>" * 100_001, headers=HTML)}

    crawled = crawl(web, tmp_path)

    assert crawled.states() == {"/": "parsed", "/a": "page_too_complex", "/b": "parsed"}
    assert crawled.pages["/a"]["num_candidates"] == 0
    assert [row["alt_text"] for row in crawled.rows] == ["cat"]


def test_xhtml_is_read_as_its_server_declares_it(web: Web, tmp_path: Path) -> None:
    body = b"<html><script src='a.js'/><a href='/b'/><img src='a.png' alt='cat'/></html>"
    web.routes |= {"/": Reply(body=body, headers=[("Content-Type", "application/xhtml+xml")])}
    web.routes |= {"/b": Reply(body=body, headers=HTML)}

    crawled = crawl(web, tmp_path)

    assert crawled.states() == {"/": "parsed", "/b": "parsed"}
    assert [row["page_url"] for row in crawled.rows] == [f"{SITE}/"]


@pytest.mark.parametrize(
    "head",
    [
        pytest.param('<meta name="tdm-reservation" content="1">', id="TDM"),
        pytest.param("<meta property=x name=robots content=noai>", id="beside a property"),
        pytest.param("<meta name=robots content=noimageindex>", id="no images"),
        pytest.param("<meta name=robots content='index, noml'>", id="no machine learning"),
        pytest.param("<meta name=OpenALIGN/0.1 content=noindex>", id="our name and version"),
        pytest.param(
            "<meta name=robots content='unavailable_after: 25 Aug 2020 15:00:00 EST'>",
            id="a date that is over",
        ),
    ],
)
def test_a_page_can_withhold_itself(web: Web, tmp_path: Path, head: str) -> None:
    web.routes["/"] = page("/a", alt="cat", head=head)

    assert crawl(web, tmp_path / "a").states() == {"/": "robots_denied"}
    assert len(crawl(web, tmp_path / "b", {"respect_opt_outs": False}, max_depth=0).rows) == 1


def test_the_day_that_dates_are_judged_on_is_a_setting(web: Web, tmp_path: Path) -> None:
    web.routes["/"] = page(head="<meta name=robots content='unavailable_after: 2020-08-25'>")

    crawled = crawl(web, tmp_path, {"opt_outs_as_of": "2020-08-25"})

    assert crawled.states() == {"/": "parsed"}


@pytest.mark.parametrize(
    ("reply", "followed"),
    [
        pytest.param(page("/a", head="<meta name=robots content=nofollow>"), set(), id="meta"),
        pytest.param(
            Reply(body=page("/a").body, headers=[*HTML, ("X-Robots-Tag", "nofollow")]),
            set(),
            id="header",
        ),
        pytest.param(
            Reply(
                body=b"<a rel='me NOFOLLOW' href=/a></a><a rel=nofollow href=/b></a><a href=/b>",
                headers=HTML,
            ),
            {"/b"},
            id="rel, unless another link says otherwise",
        ),
    ],
)
def test_links_that_say_nofollow(
    web: Web, tmp_path: Path, reply: Reply, followed: set[str]
) -> None:
    web.routes |= {"/": reply, "/a": page(), "/b": page()}

    assert set(crawl(web, tmp_path / "a").pages) == {"/", *followed}
    assert "/a" in crawl(web, tmp_path / "b", {"respect_opt_outs": False}).pages


def test_seeds_are_grouped_by_their_site() -> None:
    source = SiteSource(
        seeds=("http://B.example/#x", "http://b.example/", "https://a.example:8443/p")
    )

    assert seeds_by_site(source) == [
        ("b.example", "http://b.example/"),
        ("a.example", "https://a.example:8443/p"),
    ]


def test_a_seed_that_is_no_url_is_an_error_before_anything_starts() -> None:
    with pytest.raises(InputError, match="http://a:b is not a URL"):
        check(SiteSource(seeds=("http://a:b",)))
