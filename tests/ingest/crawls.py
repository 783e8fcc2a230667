"""Crawls in tests: small pages, and what a crawl of them comes to."""

from collections import Counter
from pathlib import Path
from typing import Any

from faulty_web import HOST, SITE, Reply, Web

from openalign.engines.jobs import Attempt
from openalign.files import storage
from openalign.ingest.sources.contract import ReadingSetup
from openalign.ingest.sources.crawl import SiteSource
from openalign.ingest.sources.site_crawl.crawl_reading import crawl_site

HTML = [("Content-Type", "text/html; charset=utf-8")]


def page(*links: str, alt: str = "", head: str = "", lang: str = "en") -> Reply:
    anchors = "".join(f"<a href='{link}'>x</a>" for link in links)
    image = f"<img src='/p/{alt}.png' alt='{alt}'>" if alt else ""
    body = f"<html lang={lang}><head>{head}</head><body>{anchors}{image}</body></html>"
    return Reply(body=body.encode(), headers=HTML)


def setup_of(web: Web, work: Path, **changes: Any) -> ReadingSetup:
    attempt = Attempt(str(work / "attempt"))
    storage.write_text(attempt.url, "")
    return ReadingSetup(
        web=web.download(**changes), texts=("alt",), work=str(work), attempt=attempt
    )


class Crawled:
    def __init__(self, web: Web, work: Path, changes: dict[str, Any], **settings: Any) -> None:
        source = SiteSource(seeds=(f"{SITE}/",), **settings)
        setup = setup_of(web, work, **changes)
        self.pieces = list(crawl_site(HOST, [f"{SITE}/"], source=source, setup=setup))
        self.pages = {
            p["page_url"].removeprefix(SITE): p for piece in self.pieces for p in piece.pages
        }
        self.rows = [row for piece in self.pieces for row in piece.candidates.to_pylist()]
        self.counts: Counter[str] = sum((piece.counts for piece in self.pieces), Counter())

    def states(self) -> dict[str, str]:
        return {url: page["state"] for url, page in self.pages.items()}


def crawl(web: Web, work: Path, changes: dict[str, Any] | None = None, **settings: Any) -> Crawled:
    return Crawled(web, work, changes or {}, **settings)
