"""The pages of a WAT file: the HTML responses whose images Common Crawl has written down.

A WAT has of an image its `src`, `alt` and `title`, and of the page its meta elements. It lacks
lazy-load attributes, `srcset`, picture elements and captions, and images without a `src`.
"""

import re
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

from fastwarc import WarcHeader, WarcRecord, WarcRecordType

from openalign.files.states import HarvestState, PageState, RecordFault
from openalign.ingest.page_verdict import (
    HTML,
    XHTML,
    content_language,
    judge_content,
    state_by_header,
)
from openalign.ingest.sources.archives import wat_record
from openalign.ingest.sources.archives.archive_reading import ArchivedPage
from openalign.ingest.sources.archives.records import read_records
from openalign.ingest.sources.archives.src_images import SrcImages, add_one_by_one
from openalign.ingest.sources.archives.tape import Source
from openalign.ingest.sources.archives.wat_record import HtmlMetadata, WatRecord
from openalign.ingest.web.answers import Head, Headers
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.urls import canonical_url
from openalign.ingest.webpage.addresses.image_address import best_address
from openalign.ingest.webpage.cost.budget import (
    MAX_PAIR_CHARS,
    PageTooComplexError,
    require_readable,
)
from openalign.ingest.webpage.elements.languages import primary_subtag
from openalign.ingest.webpage.elements.pairs import PairsFound
from openalign.ingest.webpage.page import Metas, PageContent, add_named_images, only_one
from openalign.ingest.webpage.texts import TextKind

_JSON = "application/json"
_STATUS = re.compile("[0-9]{3}")
_PLACE = re.compile("[0-9]{1,18}")
_IMAGE = "IMG@/src"
_LANGUAGES = ("html@/lang", "html@/xml:lang")  # as `Metas` spells names


def read_pages(
    source: Source, name: str, *, texts: Collection[TextKind], web: WebConfig
) -> Iterator[ArchivedPage | RecordFault]:
    """Yield the pages of a WAT file, in its order, and a fault for each bad record.

    Raises:
        ArchiveError: the file cannot be read, or not to its end.
    """
    for found in read_records(source, _take):
        if isinstance(found, RecordFault):
            yield found
            continue
        record = wat_record.decode(found.value)
        if record is None:
            yield RecordFault.NO_METADATA
            continue
        page = _page_of(record, texts, web)
        if page is not None:
            # The record of the WARC file is where the page itself can be read.
            container = record.container
            page.archive = container.filename or name
            is_place = _PLACE.fullmatch(container.offset)
            page.offset = int(container.offset) if is_place else found.offset
            yield page


def _take(record: WarcRecord) -> bytes | None:
    """Read a record of metadata in JSON; None for another one."""
    if record.record_type != WarcRecordType.metadata:
        return None
    if not (record.headers.get(WarcHeader.CONTENT_TYPE) or "").startswith(_JSON):
        return None
    return record.reader.read()


def _page_of(record: WatRecord, texts: Collection[TextKind], web: WebConfig) -> ArchivedPage | None:
    """Return the page that a record tells of; None where it tells of something else."""
    envelope = record.envelope
    url = envelope.header.url.strip("<> ")
    response = envelope.payload.response
    if envelope.header.record_type != "response" or response is None:
        return None
    if not url.lower().startswith(("http://", "https://")):
        return None
    said = response.message.status
    status = int(said) if _STATUS.fullmatch(said) else None
    head = Head(url=url, status=status or 0, headers=_headers(response.headers))
    final_url = canonical_url(url)
    is_cut = bool(envelope.header.truncated or envelope.header.segment)
    state, content, images = _judge(head, response.html, final_url, texts, web, is_cut=is_cut)
    return ArchivedPage(
        url=url,
        final_url=final_url,
        state=state,
        http_status=status,
        content=content,
        archive="",
        offset=0,
        images=images,
    )


def _headers(fields: dict[str, Any]) -> Headers:
    return [
        (name.lower(), value)
        for name, values in fields.items()
        for value in (values if isinstance(values, list) else [values])
    ]


def _judge(
    head: Head,
    html: HtmlMetadata | None,
    url: str | None,
    texts: Collection[TextKind],
    web: WebConfig,
    *,
    is_cut: bool,
) -> tuple[PageState, PageContent | None, SrcImages | None]:
    kind = head.content_type
    is_html = kind in (HTML, XHTML) or (kind is None and html is not None)
    state = state_by_header(head, url, is_html=is_html, web=web)
    if state is not None or url is None:
        return state or PageState.BAD_URL, None, None
    try:
        page, images = _content_of(html or HtmlMetadata(), url, head.headers, texts)
    except PageTooComplexError:
        return PageState.PAGE_TOO_COMPLEX, None, None
    state, content = judge_content(page, headers=head.headers, web=web, is_cut=is_cut)
    return state, content, images if content is not None else None


def _content_of(
    html: HtmlMetadata, page_url: str, headers: Headers, texts: Collection[TextKind]
) -> tuple[PageContent, SrcImages | None]:
    """Return what is found on a page, as `parse_page` does from its HTML.

    Its images are left to be judged together with those of other pages, if its pairs are within
    the budget whatever these turn out to be.
    """
    require_readable(len(html.links) + len(html.head.metas))
    raw_base = html.head.base.strip()
    base = (canonical_url(raw_base, page_url) if raw_base else None) or page_url
    metas = Metas(html.head.metas)
    labels = [content for name, content in metas.named if name in _LANGUAGES]
    label = labels[0] if labels else metas.language or only_one(content_language(headers))
    language = primary_subtag(label)
    found = PairsFound()
    with_alt, with_title = "alt" in texts, "title" in texts
    links = [link for link in html.links if link.path == _IMAGE]
    with_text = [link for link in links if (with_alt and link.alt) or (with_title and link.title)]
    if num_without := len(links) - len(with_text):
        found.dropped[HarvestState.NO_ALT_TEXT] = num_without
    images = SrcImages(
        raws=[link.url for link in with_text],
        alts=[link.alt if with_alt else "" for link in with_text],
        titles=[link.title if with_title else "" for link in with_text],
        base=base,
        page_url=page_url,
        language=language,
        found=found,
    )
    is_short = images.most_chars(metas.named) <= MAX_PAIR_CHARS
    if not is_short:
        add_one_by_one(images)
    address_of = partial(best_address, base=base, page_url=page_url)
    add_named_images(found, address_of, metas.named, texts, language)
    content = PageContent(
        pairs=found.pairs,
        dropped=found.dropped,
        language=language,
        directives=metas.directives,
        reserves_tdm=metas.reserves_tdm,
    )
    return content, images if is_short else None
