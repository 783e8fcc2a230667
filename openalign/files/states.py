"""The closed lists of how a row can end, stage by stage.

Every input row of a stage ends in exactly one state of that stage's list. The sum over the states
is checked before a stage is called complete. A kind that ends rows in a new way adds a line here.
"""

from enum import StrEnum


class FoundIn(StrEnum):
    """The place that an alt-text comes from, on a page or elsewhere."""

    IMG_ALT = "img_alt"
    PICTURE = "picture"  # alt, of an image in a picture element
    INPUT_IMAGE = "input_image"  # alt
    AMP_IMG = "amp_img"  # alt
    TITLE = "title"
    ARIA_LABEL = "aria_label"
    ARIA_LABELLEDBY = "aria_labelledby"
    FIGCAPTION = "figcaption"
    AREA = "area"  # alt, of a part of an image map
    OG_IMAGE = "og_image"
    TWITTER_IMAGE = "twitter_image"
    JSON_LD_CAPTION = "json_ld_caption"
    JSON_LD_DESCRIPTION = "json_ld_description"
    JSON_LD_NAME = "json_ld_name"
    TABLE = "table"
    TXT = "txt"  # a text file that has the image's name, in a folder or a tar
    JSON = "json"  # a JSON object that has it


class PageState(StrEnum):
    """How a page, or a sitemap, that a crawl or an archive came across ended."""

    PARSED = "parsed"
    CUT = "cut"  # longer than its limit: parsed as far as that
    PAGE_TOO_COMPLEX = "page_too_complex"  # it would cost more than its budget
    BAD_URL = "bad_url"  # of an archive: no http URL, or one with a user name or password
    NOT_HTML = "not_html"
    ROBOTS_DENIED = "robots_denied"
    OUT_OF_SCOPE = "out_of_scope"  # a setting leaves it out, or it leads to another site
    OUT_OF_BUDGET = "out_of_budget"
    HTTP_ERROR = "http_error"
    ASKED_TO_WAIT = "asked_to_wait"  # not asked: its host wants a longer pause than is allowed
    UNREACHABLE = "unreachable"
    SITEMAP = "sitemap"  # not a page, but a list of pages
    BAD_SITEMAP = "bad_sitemap"  # likewise, not read to its end


class RecordFault(StrEnum):
    """Why a record of an archive gave nothing. Bytes in a row that are no record count as one."""

    DAMAGED = "damaged"  # what it is compressed to cannot be unpacked
    NO_RECORD = "no_record"  # no record begins where one should
    WRONG_LENGTH = "wrong_length"  # longer or shorter than it says
    CUT_SHORT = "cut_short"  # its file ends within it
    NO_HTTP = "no_http"  # a response that does not begin like one
    BAD_ENCODING = "bad_encoding"  # its content encoding cannot be undone
    NO_METADATA = "no_metadata"  # of a WAT: no JSON of the known form


class HarvestState(StrEnum):
    """How a candidate that harvest found ended."""

    KEPT = "kept"
    DUPLICATE = "duplicate"
    NO_ALT_TEXT = "no_alt_text"
    DATA_URL = "data_url"
    BAD_URL = "bad_url"
    BAD_ROW = "bad_row"  # of a table: it cannot be told apart into cells
    LEFT_OUT = "left_out"  # its source asks for other rows of a table, or other images
    NO_IMAGE = "no_image"  # of files: a text without an image
    BAD_TEXT = "bad_text"  # of files: a text or JSON object that cannot be read
    NOT_THERE = "not_there"  # a table names a file, and it is not below the source's folder
    SCATTERED = "scattered"  # of a tar: its members do not lie side by side


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
    NOT_TRIED = "not_tried"  # beyond the limit or the budget of a first try
    REMOVED = "removed"  # on a removal list
    BAD_URL = "bad_url"
    NOT_THERE = "not_there"  # of an image on no web: its file is gone, or may not be read
    ROBOTS_DENIED = "robots_denied"
    OPTED_OUT = "opted_out"  # X-Robots-Tag, TDM, training reserved
    PRIVATE_ADDRESS = "private_address"
    DNS_FAILURE = "dns_failure"
    CONNECT_FAILURE = "connect_failure"
    TLS_FAILURE = "tls_failure"
    TIMEOUT = "timeout"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    HTTP_GONE = "http_gone"  # 404, 410
    HTTP_CLIENT_ERROR = "http_client_error"  # the other 4xx
    HTTP_SERVER_ERROR = "http_server_error"  # 5xx and 429, after every retry
    HTTP_UNEXPECTED = "http_unexpected"  # 1xx, and a 3xx that names no address to go on to
    ASKED_TO_WAIT = "asked_to_wait"  # not asked: its host wants a longer pause than is allowed
    OUT_OF_BUDGET = "out_of_budget"  # not asked: its host has taken all of its time
    HEADER_TOO_LARGE = "header_too_large"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    NOT_AN_IMAGE = "not_an_image"
    UNDECODED_FORMAT = "undecoded_format"  # HEIC, JPEG XL, SVG and others; the detail names it
    TOO_MANY_PIXELS = "too_many_pixels"
    DECODE_FAILURE = "decode_failure"
    HASH_MISMATCH = "hash_mismatch"  # other bytes than a table promised, or harvest read
    SHORT_SIDE = "short_side"  # rejected on its header, before the body
    ASPECT_RATIO = "aspect_ratio"  # likewise


CAN_HEAL = frozenset(
    {
        FetchState.NOT_TRIED,
        FetchState.ASKED_TO_WAIT,
        FetchState.OUT_OF_BUDGET,
        FetchState.DNS_FAILURE,
        FetchState.CONNECT_FAILURE,
        FetchState.TLS_FAILURE,
        FetchState.TIMEOUT,
        FetchState.HTTP_SERVER_ERROR,
        FetchState.TRUNCATED,
    }
)
"""States that another try, on another day, may turn into another."""


class SelectState(StrEnum):
    """How a fetched pair ended in `select`; rejects in the order in which the rules are asked."""

    KEPT = "kept"
    SHORT_SIDE = "short_side"
    ASPECT_RATIO = "aspect_ratio"
    IMAGE_WITH_MANY_ALT_TEXTS = "image_with_many_alt_texts"
    NEAR_DUPLICATE = "near_duplicate"
    REMOVED = "removed"  # on a removal list


class EvaluateState(StrEnum):
    """How an image that a task needs ended in `evaluate`."""

    EMBEDDED = "embedded"
    MISSING = "missing"  # its file is not there
    UNREADABLE = "unreadable"  # it cannot be decoded
