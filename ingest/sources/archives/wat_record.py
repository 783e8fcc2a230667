"""The JSON of a WAT record, as far as it tells of images: typed, and read in one go.

Common Crawl writes a record for each record of a WARC file. That of a response holds its HTTP
header, and what a parser found in its page: the elements of the head, and all links, of which an
image is one. A header that stands more than once has a list of values.
"""

import msgspec

from openalign.ingest.sources import lenient_json


class Link(msgspec.Struct, gc=False):
    """An address on the page."""

    path: str = ""
    """The element and its attribute, such as `IMG@/src`."""

    url: str = ""
    alt: str = ""
    title: str = ""


class HtmlHead(msgspec.Struct, rename="pascal"):
    """What stands in the page's head."""

    metas: list[dict[str, str]] = []
    """Attributes of the meta elements. The language of the html element stands among them, as an
    element with the name `HTML@/lang`."""

    base: str = ""


class HtmlMetadata(msgspec.Struct, rename="pascal"):
    """What stands on the page."""

    head: HtmlHead = msgspec.field(default_factory=HtmlHead)
    links: list[Link] = []


class ResponseMessage(msgspec.Struct, rename="pascal"):
    """The first line of the answer."""

    status: str = ""


class HttpResponseMetadata(
    msgspec.Struct,
    rename={
        "headers": "Headers",
        "html": "HTML-Metadata",
        "message": "Response-Message",
    },
):
    """The answer of the server."""

    headers: dict[str, str | list[str]] = {}
    html: HtmlMetadata | None = None
    message: ResponseMessage = msgspec.field(default_factory=ResponseMessage)


class PayloadMetadata(msgspec.Struct, rename={"response": "HTTP-Response-Metadata"}):
    """What the record of the WARC file holds."""

    response: HttpResponseMetadata | None = None


class WarcHeader(
    msgspec.Struct,
    rename={
        "record_type": "WARC-Type",
        "url": "WARC-Target-URI",
        "truncated": "WARC-Truncated",
        "segment": "WARC-Segment-Number",
    },
):
    """The header of the record of the WARC file."""

    record_type: str = ""
    url: str = ""
    truncated: str = ""
    segment: str = ""


class Envelope(
    msgspec.Struct,
    rename={"header": "WARC-Header-Metadata", "payload": "Payload-Metadata"},
):
    """The record of the WARC file."""

    header: WarcHeader = msgspec.field(default_factory=WarcHeader)
    payload: PayloadMetadata = msgspec.field(default_factory=PayloadMetadata)


class Container(msgspec.Struct, rename="pascal"):
    """Where the record of the WARC file lies."""

    filename: str = ""
    offset: str = ""


class WatRecord(msgspec.Struct, rename="pascal"):
    """All that a WAT record says."""

    envelope: Envelope
    container: Container = msgspec.field(default_factory=Container)


_DECODER = msgspec.json.Decoder(WatRecord)


def decode(content: bytes) -> WatRecord | None:
    """Return a record; None for one of another form."""
    try:
        return lenient_json.decode(content, _DECODER)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
