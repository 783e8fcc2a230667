"""The pages of a WARC file: its HTTP responses that are HTML.

Requests, revisits, metadata and what came over other protocols are no pages.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial

from fastwarc import WarcRecord, WarcRecordType

from openalign.files.states import PageState, RecordFault
from openalign.ingest.page_verdict import HTML, XHTML, judge_page, state_by_header
from openalign.ingest.sources.archives.archive_reading import ArchivedPage
from openalign.ingest.sources.archives.records import read_records
from openalign.ingest.sources.archives.response import (
    MAX_HEADER_BYTES,
    EncodingError,
    decoded_body,
    parse_header,
)
from openalign.ingest.sources.archives.tape import Source
from openalign.ingest.web.answers import Head
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.urls import canonical_url
from openalign.ingest.webpage.page import PageContent
from openalign.ingest.webpage.texts import TextKind


@dataclass(slots=True)
class _Response:
    """A response, as far as its record was read."""

    url: str
    head: Head | None
    """None where the record does not begin like a response."""

    body: bytes
    """Empty where it is no page."""

    may_be_page: bool
    is_cut: bool


def read_pages(
    source: Source,
    name: str,
    *,
    texts: Collection[TextKind],
    web: WebConfig,
    max_page_bytes: int,
) -> Iterator[ArchivedPage | RecordFault]:
    """Yield the pages of an archive, in its order, and a fault for each bad record.

    Raises:
        ArchiveError: the archive cannot be read, or not to its end.
    """
    judge = partial(_judge, texts=texts, web=web, max_bytes=max_page_bytes)
    for found in read_records(source, partial(_take, max_bytes=max_page_bytes)):
        if isinstance(found, RecordFault):
            yield found
            continue
        response = found.value
        if response.head is None:
            yield RecordFault.NO_HTTP
            continue
        final_url = canonical_url(response.url)
        try:
            state, content = judge(response, response.head, final_url)
        except EncodingError:
            yield RecordFault.BAD_ENCODING
            continue
        yield ArchivedPage(
            url=response.url,
            final_url=final_url,
            state=state,
            http_status=response.head.status,
            content=content,
            archive=name,
            offset=found.offset,
        )


def _take(record: WarcRecord, *, max_bytes: int) -> _Response | None:
    """Read a response, of one that is no page the beginning; None for another record."""
    if record.record_type != WarcRecordType.response:
        return None
    fields = record.headers
    # wget writes an address between angle brackets.
    url = (fields.get("WARC-Target-URI") or "").strip("<> ")
    if not url.lower().startswith(("http://", "https://")):
        return None
    block = record.reader.read(MAX_HEADER_BYTES)
    parsed = parse_header(block, url)
    if parsed is None:
        return _Response(url, None, b"", may_be_page=False, is_cut=False)
    head, start = parsed
    body = block[start:]
    may_be_page = _may_be_page(head, body)
    # Encodings shorten a page, or lengthen it a little.
    body = body + record.reader.read(max_bytes + MAX_HEADER_BYTES) if may_be_page else b""
    is_cut = bool(fields.get("WARC-Truncated") or fields.get("WARC-Segment-Number"))
    return _Response(url, head, body, may_be_page, is_cut)


def _may_be_page(head: Head, beginning: bytes) -> bool:
    """Tell whether a response is declared as HTML, or undeclared and looks like it."""
    kind = head.content_type
    if kind is None:
        is_encoded = head.header("content-encoding") or head.header("transfer-encoding")
        return bool(is_encoded) or _looks_like_html(beginning)
    return kind in (HTML, XHTML)


def _looks_like_html(body: bytes) -> bool:
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def _judge(
    response: _Response,
    head: Head,
    url: str | None,
    *,
    texts: Collection[TextKind],
    web: WebConfig,
    max_bytes: int,
) -> tuple[PageState, PageContent | None]:
    state = state_by_header(head, url, is_html=response.may_be_page, web=web)
    if state is not None or url is None:
        return state or PageState.BAD_URL, None
    body, is_cut = decoded_body(head, response.body, max_bytes=max_bytes)
    content_type = head.content_type
    if content_type is None and not _looks_like_html(body):
        return PageState.NOT_HTML, None
    return judge_page(
        body,
        url=url,
        headers=head.headers,
        content_type=content_type,
        charset=head.charset,
        texts=texts,
        web=web,
        max_bytes=max_bytes,
        is_cut=is_cut or response.is_cut,
        with_links=False,
    )
