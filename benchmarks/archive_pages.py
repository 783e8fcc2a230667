"""The pages that archives of the benchmark hold, and the WARC and WAT files of them."""

import gzip
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYLLABLES = (
    "ba",
    "cor",
    "dun",
    "el",
    "fi",
    "gar",
    "hol",
    "in",
    "jo",
    "ka",
    "lem",
    "mis",
    "no",
    "ost",
)
WORDS = [first + second for first in SYLLABLES for second in ("", *SYLLABLES)]


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What stands on a page."""

    images: int
    with_alt: int
    lazy: int
    pictures: int
    figures: int
    links: int
    metas: int
    num_bytes: int


MIXES = {
    "shop": Mix(
        images=24, with_alt=18, lazy=6, pictures=3, figures=1, links=90, metas=22, num_bytes=45_000
    ),
    "article": Mix(
        images=9, with_alt=7, lazy=1, pictures=0, figures=2, links=40, metas=16, num_bytes=25_000
    ),
}


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page, as its server sends it and as a WAT tells of it."""

    url: str
    html: str
    images: list[dict[str, str]]
    links: list[dict[str, str]]
    metas: list[dict[str, str]]


def words(rng: random.Random, number: int) -> str:
    return " ".join(rng.choice(WORDS).replace('"', "").replace("<", "") for _ in range(number))


def page(mix: Mix, number: int) -> Page:
    """Return a page of a mix; the same for the same number."""
    rng = random.Random(number)
    url = f"https://www.site{number % 50}.example/section/{number}/index.html"
    images: list[dict[str, str]] = []
    parts: list[str] = []
    for place in range(mix.images):
        src = f"/media/{number}/{place}-{rng.randrange(10**9)}.jpg?w=640"
        alt = words(rng, rng.randrange(2, 12)) if place < mix.with_alt else ""
        images.append({"path": "IMG@/src", "url": src, "alt": alt})
        tag = f'<img class="media-image" width="640" height="480" src="{src}" alt="{alt}">'
        if place < mix.lazy:
            tag = tag.replace(' src="', ' loading="lazy" src="/blank.gif" data-src="')
        elif place < mix.lazy + mix.pictures:
            source = f'<source type="image/webp" srcset="{src}&f=webp 1x, {src}&f=webp2 2x">'
            tag = f"<picture>{source}{tag}</picture>"
        elif place < mix.lazy + mix.pictures + mix.figures:
            tag = f"<figure>{tag}<figcaption>{words(rng, 9)}</figcaption></figure>"
        parts.append(f'<div class="card">{tag}</div>')
    links: list[dict[str, str]] = []
    for _ in range(mix.links):
        href, text = f"/section/{rng.randrange(10**6)}/", words(rng, 3)
        links.append({"path": "A@/href", "url": href, "text": text})
        parts.append(f'<li class="nav-item"><a href="{href}">{text}</a></li>')
    metas = [{"name": f"meta-{n}", "content": words(rng, 6)} for n in range(mix.metas)]
    head = "".join(f'<meta name="{m["name"]}" content="{m["content"]}">' for m in metas)
    rng.shuffle(parts)
    body = "".join(parts)
    while len(body) < mix.num_bytes:
        body += f'<p class="text">{words(rng, 60)}</p>'
    html = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{words(rng, 5)}'
    html += f"</title>{head}<style>.a{{b:c}}</style></head><body>{body}</body></html>"
    return Page(url=url, html=html, images=images, links=links, metas=metas)


# Files --------------------------------------------------------------------------------------------


def warc_record(kind: str, url: str, content_type: str, block: bytes) -> bytes:
    header = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
        "WARC-Record-ID: <urn:uuid:12345678-1234-1234-1234-123456789012>\r\n"
        f"WARC-Target-URI: {url}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(header.encode() + block + b"\r\n\r\n", 6, mtime=0)


def write_warc(path: Path, pages: Sequence[Page]) -> None:
    """Write a request, a response and metadata for each page, as Common Crawl does."""
    with path.open("wb") as file:
        for one in pages:
            body = one.html.encode()
            header = (
                "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: nginx\r\n"
                "Content-Type: text/html; charset=utf-8\r\nCache-Control: max-age=60\r\n"
                f"X-Crawler-Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            request = b"GET / HTTP/1.1\r\nUser-Agent: bot\r\nAccept: text/html\r\n\r\n"
            http = "application/http; msgtype="
            file.write(warc_record("request", one.url, http + "request", request))
            file.write(warc_record("response", one.url, http + "response", header.encode() + body))
            fields = b"fetchTimeMs: 123\r\ncharset-detected: UTF-8\r\n"
            file.write(warc_record("metadata", one.url, "application/warc-fields", fields))


def write_wat(path: Path, pages: Sequence[Page]) -> None:
    """Write a record for each of the three that a page has in a WARC."""
    with path.open("wb") as file:
        for number, one in enumerate(pages):
            for kind in ("request", "response", "metadata"):
                content = json.dumps(wat_document(one, kind, number)).encode()
                file.write(warc_record("metadata", one.url, "application/json", content))


def wat_document(one: Page, kind: str, number: int) -> dict[str, Any]:
    payload: dict[str, Any] = {"Actual-Content-Type": f"application/http; msgtype={kind}"}
    if kind == "response":
        payload["HTTP-Response-Metadata"] = {
            "Response-Message": {"Status": "200", "Version": "HTTP/1.1", "Reason": "OK"},
            "Headers-Length": "210",
            "Headers": {
                "Date": "Thu, 01 Jan 2026 00:00:00 GMT",
                "Server": "nginx",
                "Content-Type": "text/html; charset=utf-8",
                "Cache-Control": "max-age=60",
                "Content-Length": str(len(one.html)),
            },
            "HTML-Metadata": {
                "Head": {
                    "Title": "a title",
                    "Metas": [{"name": "HTML@/lang", "content": "en"}, *one.metas],
                    "Link": [{"path": "LINK@/href", "url": "/style.css", "rel": "stylesheet"}] * 8,
                    "Scripts": [{"path": "SCRIPT@/src", "url": "/script.js"}] * 12,
                },
                "Links": [*one.images, *one.links],
            },
            "Entity-Length": str(len(one.html)),
            "Entity-Digest": "sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "Entity-Trailing-Slop-Length": "0",
        }
    elif kind == "request":
        payload["HTTP-Request-Metadata"] = {
            "Headers": {"User-Agent": "bot", "Accept": "text/html", "Host": "site.example"},
            "Request-Message": {"Method": "GET", "Path": "/", "Version": "HTTP/1.1"},
        }
    return {
        "Container": {
            "Filename": "CC-MAIN-00000.warc.gz",
            "Compressed": True,
            "Offset": str(number * 10_000),
            "Gzip-Metadata": {"Inflated-Length": "9", "Footer-Length": "8", "Deflate-Length": "9"},
        },
        "Envelope": {
            "Format": "WARC",
            "WARC-Header-Length": "400",
            "Actual-Content-Length": str(len(one.html)),
            "WARC-Header-Metadata": {
                "WARC-Type": kind,
                "WARC-Date": "2026-01-01T00:00:00Z",
                "WARC-Record-ID": "<urn:uuid:12345678-1234-1234-1234-123456789012>",
                "WARC-Target-URI": one.url,
                "Content-Type": f"application/http; msgtype={kind}",
                "Content-Length": str(len(one.html)),
            },
            "Payload-Metadata": payload,
        },
    }
