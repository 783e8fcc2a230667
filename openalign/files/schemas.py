"""The Arrow schemas of the tables that stages hand to each other."""

import pyarrow as pa

from openalign.files.fingerprints import SCHEMA_VERSION


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
    ("raw_image_url", pa.string()),  # as the page spells it: some servers are picky
    ("archive", pa.string()),  # the WARC or WAT file, where there is one
    ("archive_offset", pa.int64()),  # bytes
    ("page_language", pa.string()),  # lower-case primary subtag (`en`), null when a page says none
    ("expected_sha256", pa.string()),  # of the image's bytes, in hex: as a table names it, or as
    # harvest read it where the image is on no web
    ("carried", pa.string()),  # a table's other columns that travel along, as a JSON object
    ("locator", pa.string()),  # where an image lies that is on no web: see `locators`; else null
    ("address_from", pa.string()),  # the attribute that raw_image_url stands in; null of a table
    ("text_language", pa.string()),  # of alt_text, as detected; null where it cannot be told
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
    ("phash", pa.string()),  # 64-bit DCT hash of the luminance: 16 hex digits, bit 63 first
    ("shard", pa.string()),  # `shard-00003-00000.tar`; `source/NAME` for one that stays where it
    # lies (`shards.ShardReader`); null unless fetched
)
"""Facts about an image from fetch; the same on every ledger row of that image."""

LEDGER = _versioned(*((f.name, f.type) for f in CANDIDATE), *IMAGE_FACTS)
"""One row for every candidate that fetch was given, fetched or not."""

INDEX = _versioned(
    ("key", pa.string()),  # image_key
    ("member", pa.string()),  # `txt`, `json` or one of `names.IMAGE_MEMBERS`
    ("offset", pa.int64()),  # of the member's content in the tar, bytes
    ("length", pa.int64()),  # bytes
    ("xxh3", pa.uint64()),  # of the member's content (`hashing.content_hash`)
)
"""Where each member of a shard lies, so that one positioned read fetches it."""

TRAINING = _versioned(
    ("shard", pa.string()),
    ("offset", pa.int64()),  # of the image in the shard, bytes
    ("length", pa.int64()),  # bytes
    ("alt_text", pa.string()),
    ("key", pa.string()),  # the candidate's
    ("image", pa.int64()),  # number of the image among those of this file, from 0 on
    ("xxh3", pa.uint64()),  # of the image's bytes; null where `fetch` wrote none down
)
"""The training manifest: one row a pair, sorted by key. All pairs of an image are in one file."""

TRAINING_INDEX = _versioned(
    ("shard", pa.dictionary(pa.int32(), pa.string())),
    ("offset", pa.int64()),
    ("length", pa.int64()),
    ("image", pa.int64()),
    ("xxh3", pa.uint64()),  # 0 where it is not known
    ("key", pa.binary(16)),
    ("alt_text", pa.large_string()),
)
"""A file of the training manifest again, row by row, in columns that can be memory-mapped."""

DECISION = _versioned(("key", pa.string()), ("rule", pa.string()))
"""A pair that select leaves out, and the rule that did it; sorted by key."""

PAGE = _versioned(
    ("page_url", pa.string()),  # as it was linked to
    ("final_url", pa.string()),  # what answered, after redirects: candidates name it; null if none
    ("depth", pa.int32()),
    ("state", pa.string()),  # a PageState value
    ("http_status", pa.int32()),
    ("num_candidates", pa.int32()),
)
"""One row for every page that the `site` source came across."""

FINGERPRINT = _versioned(
    ("name", pa.string()),  # the image's file name in its benchmark
    ("split", pa.string()),
    ("sha256", pa.string()),
    ("phash", pa.string()),
)
"""A benchmark image, as near-duplicate rules see it."""
