"""WARC and WAT files to candidates, beside what people use and beside bare loops.

    .venv/bin/python benchmarks/archives.py
    .venv/bin/python benchmarks/archives.py --cc2dataset SITE    # where cc2dataset is installed

A page of the mix `shop` has 24 images (18 with an alt-text, 6 lazy, 3 in picture elements, 1 in a
figure), 90 links, 22 meta elements and about 45 KB of HTML. Of the mix `article` it has 9 images (7
with an alt-text, 1 lazy, 2 in figures), 40 links, 16 meta elements and about 25 KB.

Contenders for a WARC:
    warcio + lxml       the same record batches: robots, base, languages, and of each image the
                        address that our rules choose, from its attributes, its picture element or
                        its noscript twin; that the batches are equal is checked
    bare loop           fastwarc and lexbor: the `src` and `alt` of every image, nothing else
For a WAT:
    cc2dataset          its function `extract_documents_from_wat`
    bare loop           fastwarc and typed msgspec: the address and alt-text of every image

All run on one core, in turn, in one process. A figure is the median over the repetitions of CPU
time; a ratio the median of the ratios of each repetition. `cc2dataset` pins what cannot stand
beside Beam, so it is installed apart: `pip install --no-deps --target SITE cc2dataset pysimdjson
loguru fire termcolor pyspark`.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import lxml.etree
import msgspec
import pyarrow as pa
from archive_pages import MIXES, Mix, page, write_warc, write_wat
from fastwarc import ArchiveIterator, WarcRecordType
from selectolax.lexbor import LexborHTMLParser
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from openalign.files.hashing import candidate_key
from openalign.files.schemas import CANDIDATE
from openalign.ingest.sources.archives import warc_reading, wat_reading
from openalign.ingest.sources.archives.archive_reading import ReadPages, read_archive
from openalign.ingest.sources.archives.found import Archive
from openalign.ingest.sources.archives.http_stream import HttpReader
from openalign.ingest.sources.warc import WarcSource
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.urls import canonical_url
from openalign.ingest.webpage.addresses.image_address import (
    NO_ADDRESS,
    ImageAddress,
    Promise,
    best_address,
    img_offers,
    source_offers,
)
from openalign.ingest.webpage.texts import TextKind

TEXTS: tuple[TextKind, ...] = ("alt",)

# Contenders: each returns how many candidates it found --------------------------------------------


def ours(path: Path, read: ReadPages) -> list[pa.RecordBatch]:
    reader = HttpReader(WarcSource(path=str(path)).manners(WebConfig()))
    pieces = read_archive(Archive(path.name, str(path)), read, reader)
    return [piece.candidates for piece in pieces]


def of_warcio_and_lxml(path: Path) -> list[pa.RecordBatch]:
    """Return the candidates that images with an alt-text make, in batches with our columns."""
    parser = lxml.etree.HTMLParser(encoding="utf-8")
    batches: list[pa.RecordBatch] = []
    rows: list[dict[str, Any]] = []
    with path.open("rb") as file:
        archive = WarcioIterator(file)
        for one in archive:
            kind = one.http_headers and one.http_headers.get_header("Content-Type")
            if one.rec_type != "response" or not (kind or "").startswith("text/html"):
                continue
            if "noai" in (one.http_headers.get_header("X-Robots-Tag") or ""):
                continue
            tree = lxml.etree.fromstring(one.content_stream().read(), parser)
            url = one.rec_headers.get_header("WARC-Target-URI")
            place = (path.name, archive.get_record_offset())
            rows += candidates_of(tree, url, place)
            if len(rows) > 20_000:
                batches.append(pa.RecordBatch.from_pylist(rows, schema=CANDIDATE))
                rows = []
    return [*batches, pa.RecordBatch.from_pylist(rows, schema=CANDIDATE)]


def candidates_of(tree: Any, url: str, place: tuple[str, int]) -> Iterator[dict[str, Any]]:
    base = url
    for meta in tree.iter("meta"):
        if (meta.get("name") or "").lower() == "robots" and "noai" in (meta.get("content") or ""):
            return
    for element in tree.iter("base"):
        base = canonical_url(element.get("href") or "", url) or url
    languages = dict.fromkeys(tree.iterfind(".//*[@lang]"))
    for image in tree.iter("img"):
        text = " ".join((image.get("alt") or "").split())
        address = chosen_address(image, base, url) if text else NO_ADDRESS
        if address.url is None:
            continue
        around = (image, *image.iterancestors()) if languages else ()
        inner = next((node for node in around if node in languages), tree)
        language = (inner.get("lang") or "").partition("-")[0] or None
        yield {
            "key": candidate_key(address.url, text),
            "image_url": address.url,
            "alt_text": text,
            "page_url": url,
            "found_in": "img_alt" if picture_of(image) is None else "picture",
            "raw_image_url": address.raw,
            "archive": place[0],
            "archive_offset": place[1],
            "page_language": language,
            "address_from": address.attribute,
        }


def picture_of(image: Any) -> Any:
    """Return the picture element of an image; libxml2 takes what follows a source for its child."""
    parent = image.getparent()
    while parent.tag == "source":
        parent = parent.getparent()
    return parent if parent.tag == "picture" else None


def chosen_address(image: Any, base: str, url: str) -> ImageAddress:
    """Return the address that our rules choose, of a tree of lxml."""
    best = best_address(img_offers(dict(image.attrib)), base, url)
    if best.promise is Promise.GOOD:
        return best
    outermost = image
    if (picture := picture_of(image)) is not None:
        outermost = picture
        for source in picture.iter("source"):
            offered = best_address(source_offers(dict(source.attrib)), base, url)
            best = min(best, offered, key=lambda address: address.promise)
    beside = outermost.getnext()
    if best.promise >= Promise.PLACEHOLDER and beside is not None and beside.tag == "noscript":
        for twin in beside.iter("img"):
            offered = best_address(img_offers(dict(twin.attrib)), base, url)
            best = min(best, offered, key=lambda address: address.promise)
    return best


def of_bare_lexbor(path: Path) -> int:
    found: list[tuple[str | None, str]] = []
    with path.open("rb") as file:
        for one in ArchiveIterator(file, record_types=WarcRecordType.response):
            for image in LexborHTMLParser(one.reader.read()).css("img"):
                attributes = image.attributes
                if alt := attributes.get("alt"):
                    found.append((attributes.get("src"), alt))
    return len(found)


class BareLink(msgspec.Struct):
    """An address on a page."""

    path: str = ""
    url: str = ""
    alt: str = ""


def bare_decoder() -> Any:
    """Return a decoder that knows where links stand, and nothing else."""
    html = msgspec.defstruct("Html", [("Links", list[BareLink], [])])
    response = msgspec.defstruct(
        "Response", [("html", html | None, None)], rename={"html": "HTML-Metadata"}
    )
    payload = msgspec.defstruct(
        "Payload",
        [("response", response | None, None)],
        rename={"response": "HTTP-Response-Metadata"},
    )
    envelope = msgspec.defstruct(
        "Envelope", [("payload", payload)], rename={"payload": "Payload-Metadata"}
    )
    return msgspec.json.Decoder(msgspec.defstruct("Wat", [("Envelope", envelope)]))


def of_bare_msgspec(path: Path, decoder: Any) -> int:
    found: list[tuple[str, str]] = []
    with path.open("rb") as file:
        for one in ArchiveIterator(file, record_types=WarcRecordType.metadata, parse_http=False):
            response = decoder.decode(one.reader.read()).Envelope.payload.response
            if response is not None and response.html is not None:
                links = response.html.Links
                found += [(i.url, i.alt) for i in links if i.path == "IMG@/src" and i.alt]
    return len(found)


def of_cc2dataset(path: Path) -> int:
    from cc2dataset.main import (  # pyright: ignore[reportMissingImports]  # installed apart
        extract_documents_from_wat,
    )

    return len(extract_documents_from_wat(BytesIO(path.read_bytes()), "image"))


def in_order(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    rows = pa.Table.from_batches(batches)
    return rows.sort_by(
        [(name, "ascending") for name in ("archive_offset", "raw_image_url", "key")]
    )


def num_rows(batches: Sequence[pa.RecordBatch]) -> int:
    return sum(batch.num_rows for batch in batches)


# Measuring ----------------------------------------------------------------------------------------


def measure(contenders: dict[str, Callable[[], int]], *, num_pages: int, repeat: int) -> None:
    """Run contenders in turn, and print what each takes and its ratio to the first."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    found: dict[str, int] = {}
    for number in range(repeat + 1):
        for name, run in contenders.items():
            started = time.process_time()
            found[name] = run()
            if number:  # the first round warms up
                seconds[name].append(time.process_time() - started)
    first = next(iter(contenders))
    for name, taken in seconds.items():
        rate = num_pages / statistics.median(taken)
        ratios = [other / own for other, own in zip(taken, seconds[first], strict=True)]
        print(
            f"  {name:16} {rate:9,.0f} pages/s {found[name]:9,} candidates   "
            f"ours is {statistics.median(ratios):.2f} times as fast "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def compare(mix: Mix, folder: Path, *, num_pages: int, repeat: int, cc2dataset: bool) -> None:
    """Write a WARC and a WAT of the same pages, and measure each."""
    pages = [page(mix, number) for number in range(num_pages)]
    warc, wat = folder / "x.warc.gz", folder / "x.wat.gz"
    write_warc(warc, pages)
    write_wat(wat, pages)
    web, decoder = WebConfig(), bare_decoder()
    read_warc = partial(warc_reading.read_pages, texts=TEXTS, web=web, max_page_bytes=10_000_000)
    read_wat = partial(wat_reading.read_pages, texts=TEXTS, web=web)
    print(f" WARC, {warc.stat().st_size / 1e6:.0f} MB")
    of_warc = {
        "ours": lambda: num_rows(ours(warc, read_warc)),
        "warcio + lxml": lambda: num_rows(of_warcio_and_lxml(warc)),
        "bare loop": lambda: of_bare_lexbor(warc),
    }
    assert in_order(ours(warc, read_warc)).equals(in_order(of_warcio_and_lxml(warc))), "they differ"
    measure(of_warc, num_pages=num_pages, repeat=repeat)
    print(f" WAT, {wat.stat().st_size / 1e6:.0f} MB")
    of_wat = {
        "ours": lambda: num_rows(ours(wat, read_wat)),
        "bare loop": lambda: of_bare_msgspec(wat, decoder),
    }
    if cc2dataset:
        of_wat["cc2dataset"] = lambda: of_cc2dataset(wat)
    measure(of_wat, num_pages=num_pages, repeat=repeat)


def main() -> None:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--mix", choices=MIXES, action="append")
    parser.add_argument("--cc2dataset", help="folder that cc2dataset is installed in")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if options.cc2dataset:
        sys.path.append(options.cc2dataset)
    for name in options.mix or MIXES:
        print(f"{name}: {MIXES[name]}")
        with tempfile.TemporaryDirectory() as folder:
            compare(
                MIXES[name],
                Path(folder),
                num_pages=options.pages,
                repeat=options.repeat,
                cc2dataset=bool(options.cc2dataset),
            )


if __name__ == "__main__":
    main()
