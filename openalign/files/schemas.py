"""The tables that stages hand to each other, and the closed lists of how a row can end.

Every input row of a stage ends in exactly one state of that stage's list; the sum over the states
is checked before a stage is called complete.
"""

from enum import StrEnum

import pyarrow as pa

SCHEMA_VERSION = 1
"""Raised whenever a column changes its name, type or meaning; part of every fingerprint."""


def _versioned(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema(columns, metadata={b"openalign_schema_version": str(SCHEMA_VERSION).encode()})


def with_reason(schema: pa.Schema) -> pa.Schema:
    """Return the schema of the rows that a stage rejected: the same columns and the reason."""
    return schema.append(pa.field("reason", pa.string()))


CANDIDATE = _versioned(
    ("key", pa.string()),  # 32 hex digits over (image_url, alt_text)
    ("image_url", pa.string()),  # canonical
    ("alt_text", pa.string()),
    ("page_url", pa.string()),
    ("found_in", pa.string()),  # a FoundIn value
    ("raw_image_url", pa.string()),  # as the page spelt it: some servers are picky
    ("archive", pa.string()),  # the WARC or WAT file, where there is one
    ("archive_offset", pa.int64()),  # bytes
    ("page_language", pa.string()),  # lower-case primary subtag (`en`), null when a page says none
)
"""One (image, alt-text) as found; the same pair found twice is one candidate."""

IMAGE_FACTS = (
    ("image_key", pa.string()),  # 32 hex digits over image_url: the tar sample's name
    ("state", pa.string()),  # a FetchState value
    ("detail", pa.string()),  # what the server or decoder said, for people; null when fetched
    ("http_status", pa.int32()),
    ("content_type", pa.string()),
    ("width_px", pa.int32()),  # of the original, after EXIF orientation
    ("height_px", pa.int32()),
    ("num_bytes", pa.int64()),  # of the original
    ("sha256", pa.string()),  # of the original
    ("phash", pa.uint64()),  # 64-bit DCT hash of the luminance
    ("shard", pa.string()),  # `shard-00003-00000.tar`, null unless fetched
)
"""What fetch learnt about an image; the same on every ledger row of that image."""

LEDGER = _versioned(*((f.name, f.type) for f in CANDIDATE), *IMAGE_FACTS)
"""One row for every candidate that fetch was given, fetched or not."""

INDEX = _versioned(
    ("key", pa.string()),  # image_key
    ("member", pa.string()),  # `jpg`, `txt` or `json`
    ("offset", pa.int64()),  # of the member's content in the tar, bytes
    ("length", pa.int64()),  # bytes
)
"""Where each member of a shard lies, so that one positioned read fetches it."""

TRAINING = _versioned(
    ("shard", pa.string()),
    ("offset", pa.int64()),  # of the JPEG in the shard, bytes
    ("length", pa.int64()),  # bytes
    ("alt_text", pa.string()),
    ("key", pa.string()),  # the candidate's
)
"""The training manifest: one row a pair, sorted by key."""

DECISION = _versioned(("key", pa.string()), ("rule", pa.string()))
"""A pair that select leaves out, and the rule that did it; sorted by key."""

PAGE = _versioned(
    ("page_url", pa.string()),
    ("depth", pa.int32()),
    ("state", pa.string()),  # a PageState value
    ("http_status", pa.int32()),
    ("num_candidates", pa.int32()),
)
"""One row for every page that the `site` source came across."""

FINGERPRINT = _versioned(
    ("name", pa.string()),  # the picture's file name in its benchmark
    ("split", pa.string()),
    ("sha256", pa.string()),
    ("phash", pa.uint64()),
)
"""A benchmark picture, as near-duplicate rules see it."""


class FoundIn(StrEnum):
    """Where on a page an alt-text stood."""

    IMG_ALT = "img_alt"
    PICTURE = "picture"
    FIGCAPTION = "figcaption"
    TITLE = "title"
    OG_IMAGE = "og_image"
    TABLE = "table"


class PageState(StrEnum):
    """How a page that a crawl came across ended."""

    PARSED = "parsed"
    NOT_HTML = "not_html"
    ROBOTS_DENIED = "robots_denied"
    OUT_OF_BUDGET = "out_of_budget"
    HTTP_ERROR = "http_error"
    UNREACHABLE = "unreachable"


class HarvestState(StrEnum):
    """How a candidate that harvest found ended."""

    KEPT = "kept"
    DUPLICATE = "duplicate"
    NO_ALT_TEXT = "no_alt_text"
    DATA_URL = "data_url"
    BAD_URL = "bad_url"


class FilterState(StrEnum):
    """How a candidate ended in `filter`; rejects in the order in which the rules are asked."""

    KEPT = "kept"
    LANGUAGE = "language"
    ALT_TEXT_ON_MANY_IMAGES = "alt_text_on_many_images"
    IMAGE_WITH_MANY_ALT_TEXTS = "image_with_many_alt_texts"
    TOO_FEW_UNIGRAMS = "too_few_unigrams"
    TOO_MANY_UNIGRAMS = "too_many_unigrams"
    RARE_NGRAM = "rare_ngram"


class FetchState(StrEnum):
    """How a kept candidate's image ended in `fetch`."""

    FETCHED = "fetched"
    BAD_URL = "bad_url"
    ROBOTS_DENIED = "robots_denied"
    OPTED_OUT = "opted_out"  # X-Robots-Tag or TDM reservation
    PRIVATE_ADDRESS = "private_address"
    DNS_FAILURE = "dns_failure"
    CONNECT_FAILURE = "connect_failure"
    TLS_FAILURE = "tls_failure"
    TIMEOUT = "timeout"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    HTTP_GONE = "http_gone"  # 404, 410
    HTTP_CLIENT_ERROR = "http_client_error"  # the other 4xx
    HTTP_SERVER_ERROR = "http_server_error"  # 5xx and 429, after every retry
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    NOT_AN_IMAGE = "not_an_image"
    TOO_MANY_PIXELS = "too_many_pixels"
    DECODE_FAILURE = "decode_failure"
    SHORT_SIDE = "short_side"  # rejected on its header, before the body
    ASPECT_RATIO = "aspect_ratio"  # likewise


class SelectState(StrEnum):
    """How a fetched pair ended in `select`; rejects in the order in which the rules are asked."""

    KEPT = "kept"
    SHORT_SIDE = "short_side"
    ASPECT_RATIO = "aspect_ratio"
    IMAGE_WITH_MANY_ALT_TEXTS = "image_with_many_alt_texts"
    NEAR_DUPLICATE = "near_duplicate"
