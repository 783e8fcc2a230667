"""A crawl along sitemaps: where they are looked for, what they add, and what they may cost."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crawls import crawl, page, setup_of
from faulty_web import HOST, SITE, Reply, Web, serve

from openalign.ingest.sources.crawl import SiteSource
from openalign.ingest.sources.site_crawl import sitemaps
from openalign.ingest.sources.site_crawl.crawl_reading import crawl_site


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({"/": page("/a"), "/a": page(), "/b": page("/c"), "/c": page()}) as running:
        yield running


def pages(*paths: str) -> Reply:
    entries = "".join(f"<url><loc>{SITE}{path}</loc></url>" for path in paths)
    return Reply(body=f"<urlset>{entries}</urlset>".encode())


def index(*urls: str) -> Reply:
    entries = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return Reply(body=f"<sitemapindex>{entries}</sitemapindex>".encode())


def robots(*lines: str) -> Reply:
    return Reply(body="\n".join(lines).encode())


def found(crawled: Any) -> dict[str, tuple[int | None, str]]:
    return {url: (p["depth"], p["state"]) for url, p in crawled.pages.items()}


def test_a_sitemap_adds_pages_as_if_the_seeds_linked_to_them(web: Web, tmp_path: Path) -> None:
    web.routes["/sitemap.xml"] = pages("/b", "/")

    assert found(crawl(web, tmp_path)) == {
        "/": (0, "parsed"),
        "/sitemap.xml": (None, "sitemap"),
        "/a": (1, "parsed"),
        "/b": (1, "parsed"),
        "/c": (2, "parsed"),
    }


def test_sitemaps_can_be_left_aside(web: Web, tmp_path: Path) -> None:
    web.routes["/sitemap.xml"] = pages("/b")

    assert set(crawl(web, tmp_path / "a", sitemaps=False).pages) == {"/", "/a"}
    assert set(crawl(web, tmp_path / "b", max_depth=0).pages) == {"/", "/a"}
    assert web.asked["/sitemap.xml"] == 0


def test_sitemaps_are_named_by_robots_txt_and_by_each_other(web: Web, tmp_path: Path) -> None:
    web.routes |= {
        "/robots.txt": robots(f"Sitemap: {SITE}/one.xml", "Sitemap: /two.txt"),
        "/one.xml": index(f"{SITE}/three.xml.gz", f"{SITE}/one.xml", f"{SITE}/three.xml.gz"),
        "/two.txt": Reply(body=f"{SITE}/b\n".encode()),
        "/three.xml.gz": Reply(body=gzip.compress(pages("/c").body)),
    }

    crawled = crawl(web, tmp_path)

    assert found(crawled) == {
        "/": (0, "parsed"),
        "/one.xml": (None, "sitemap"),
        "/two.txt": (None, "sitemap"),
        "/three.xml.gz": (None, "sitemap"),
        "/a": (1, "parsed"),
        "/b": (1, "parsed"),
        "/c": (1, "parsed"),
    }
    assert max(web.asked.values()) == 1


def test_a_sitemap_that_nobody_named_may_be_missing(web: Web, tmp_path: Path) -> None:
    web.routes["/sitemap.xml"] = Reply(body=b"<!DOCTYPE html><p>not found")

    assert set(crawl(web, tmp_path).pages) == {"/", "/a"}


def test_a_sitemap_costs_itself_alone(web: Web, tmp_path: Path) -> None:
    names = ("gone", "ill", "page", "broken", "denied", "away", "late")
    web.routes |= {
        "/robots.txt": robots(
            *(f"Sitemap: /{name}.xml" for name in names),
            "Sitemap: http://other.example/sitemap.xml",
            "Sitemap: http://a:b/",
            "User-agent: *",
            "Disallow: /denied",
        ),
        "/ill.xml": Reply(status=500),
        "/page.xml": page(),
        "/broken.xml": Reply(body=pages("/b").body + b"</x>"),
        "/away.xml": Reply(status=302, headers=[("Location", "http://other.example/x")]),
        "/late.xml": pages("/c"),
    }

    crawled = crawl(web, tmp_path, {"num_retries": 0})

    assert crawled.states() == {
        "/": "parsed",
        "/a": "parsed",
        "/b": "parsed",  # a broken one is read as far as that
        "/c": "parsed",
        "/gone.xml": "http_error",
        "/ill.xml": "http_error",
        "/page.xml": "bad_sitemap",
        "/broken.xml": "bad_sitemap",
        "/denied.xml": "robots_denied",
        "/away.xml": "out_of_scope",
        "/late.xml": "sitemap",
        "http://other.example/sitemap.xml": "out_of_scope",
    }


def test_pages_of_a_sitemap_keep_to_the_scope(web: Web, tmp_path: Path) -> None:
    web.routes |= {
        "/robots.txt": robots("User-agent: *", "Disallow: /private"),
        "/sitemap.xml": Reply(
            body=pages("/b", "/private", "/login").body.replace(
                b"<url>", b"<url><loc>http://other.example/</loc></url><url>", 1
            )
        ),
    }

    crawled = crawl(web, tmp_path, exclude=("/login",), max_depth=1)

    assert crawled.states() == {
        "/": "parsed",
        "/sitemap.xml": "sitemap",
        "/a": "parsed",
        "/b": "parsed",
        "/private": "robots_denied",
        "/login": "out_of_scope",
        "/c": "out_of_budget",
    }


def test_the_budget_ends_the_reading_of_sitemaps(web: Web, tmp_path: Path) -> None:
    numbers = range(5)
    web.routes["/sitemap.xml"] = index(*(f"{SITE}/{n}.xml" for n in numbers))
    web.routes |= {f"/{n}.xml": pages(f"/x{n}", f"/y{n}") for n in numbers}

    crawled = crawl(web, tmp_path, max_pages=4)

    # One of four is the seed's; two sitemaps name the other three, and one more.
    assert [crawled.pages[f"/{n}.xml"]["state"] for n in numbers] == [
        *["sitemap"] * 2,
        *["out_of_budget"] * 3,
    ]
    states = crawled.states()
    assert [url for url in states if states[url] in ("parsed", "http_error")] == [
        *("/", "/a", "/x0", "/x1")
    ]
    assert [url for url in states if states[url] == "out_of_budget"][3:] == ["/y0", "/y1"]


def test_a_site_is_asked_for_so_many_sitemaps_at_most(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sitemaps, "MAX_SITEMAPS", 3)
    monkeypatch.setattr(sitemaps, "MAX_NAMED", 5)
    web.routes["/sitemap.xml"] = index(*(f"{SITE}/{n}.xml" for n in range(9)))
    web.routes |= {f"/{n}.xml": pages(f"/x{n}") for n in range(9)}

    crawled = crawl(web, tmp_path, max_depth=1)

    # The guess, and four that it names, are taken note of; three in all are asked for.
    assert [(url, p["state"]) for url, p in crawled.pages.items() if url.endswith("xml")] == [
        ("/sitemap.xml", "sitemap"),
        ("/0.xml", "sitemap"),
        ("/1.xml", "sitemap"),
        ("/2.xml", "out_of_budget"),
        ("/3.xml", "out_of_budget"),
    ]


def test_a_crawl_that_was_killed_asks_for_no_sitemap_again(web: Web, tmp_path: Path) -> None:
    web.routes |= {
        "/robots.txt": robots("Sitemap: /one.xml", "Sitemap: /two.xml"),
        "/one.xml": pages("/b"),
        "/two.xml": pages("/c"),
    }
    source = SiteSource(seeds=(f"{SITE}/",))
    first_run = crawl_site(HOST, [f"{SITE}/"], source=source, setup=setup_of(web, tmp_path / "a"))
    for _ in range(2):  # the seed and the first sitemap that is there
        next(first_run)
    del first_run
    web.asked.clear()

    resumed = crawl(web, tmp_path / "a")
    asked = dict(web.asked)
    whole = crawl(web, tmp_path / "b")

    assert resumed.pieces == whole.pieces
    assert asked == {"/robots.txt": 1, "/two.xml": 1, "/a": 1, "/b": 1, "/c": 1}


def test_where_robots_txt_is_not_asked_for_the_usual_place_is(web: Web, tmp_path: Path) -> None:
    web.routes |= {"/robots.txt": robots("Sitemap: /one.xml"), "/sitemap.xml": pages("/b")}

    crawled = crawl(web, tmp_path, {"respect_robots": False}, max_depth=1)

    assert set(crawled.pages) == {"/", "/sitemap.xml", "/a", "/b", "/c"}
    assert web.asked["/robots.txt"] == 0
