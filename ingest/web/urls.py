"""URLs in the canonical form of the WHATWG standard."""

import re
from collections.abc import Callable

import ada_url
import polars as pl

MAX_URL_CHARS = 4096
"""Longer URLs count as broken."""

MAX_HOST_CHARS = 253
"""What RFC 1035 leaves for the name of a host. DNS has no longer one."""

Escape = Callable[[str], str]
"""Escapes the characters of a query that are no ASCII, where a page does so in no UTF-8."""

BAD_PORTS = frozenset(
    {
        *(0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95),
        *(101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161),
        *(179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563),
        *(587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060),
        *(5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    }
)
"""Ports of other services, such as mail and ssh (the "bad ports" of WHATWG Fetch)."""

_SEGMENT = r"[A-Za-z0-9_~!$&()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@%-]*"
_QUERY = r"(?:\?[A-Za-z0-9._~!$&()*+,;=:@/?%-]*)?"

_AS_IT_STANDS = rf"^https?://(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*(?:/(?:{_SEGMENT})?)+{_QUERY}$"
"""URLs that are canonical as they stand, if they hold no `xn--`, seen without the parser.

It leaves out what may change: a host that could be a number, a port, a segment that begins with a
dot or with `%2e`, and every character of the standard's percent-encode sets. `re` and polars read
it alike.
"""

_ENCODED_HOST = "xn--"
"""The standard refuses a host whose encoded part is broken; versions of the parser differ in it."""

_LONG_HOST = rf"^https?://[a-z0-9.-]{{{MAX_HOST_CHARS + 1}}}"
"""URLs as above, whose host is too long."""

_CANONICAL = re.compile(_AS_IT_STANDS)

_BEHIND_HOST = re.compile(rf"/(?:{_SEGMENT}(?:/(?:{_SEGMENT})?)*)?{_QUERY}")
"""Relative addresses that stand behind the base's host as they are; likewise."""

_BEHIND_FOLDER = re.compile(rf"(?![^/?]*:){_SEGMENT}(?:/(?:{_SEGMENT})?)*{_QUERY}")
"""Those that stand behind the base's last slash; a colon may end a scheme."""


def canonical_url(raw: str, base: str | None = None, *, escape: Escape | None = None) -> str | None:
    """Return the canonical form of an http or https URL, or None when it is not one.

    Scheme and host in lower case, default port and fragment dropped, path and query escaped, dots
    resolved. A URL that carries a user name or password, or whose host is longer than a name can
    be, is refused. `base` is canonical. `escape` is for an address on a page whose encoding is not
    UTF-8.
    """
    if len(raw) > MAX_URL_CHARS:
        return None
    if _CANONICAL.fullmatch(raw) and _ENCODED_HOST not in raw:
        return None if _has_long_host(raw) else raw
    if base is not None and (joined := _joined_as_it_stands(raw, base)):
        return joined
    if escape is not None and not raw.isascii():
        before, mark, fragment = raw.partition("#")
        path, question, query = before.partition("?")
        raw = path + question + escape(query) + mark + fragment
    try:
        href = ada_url.normalize_url(raw) if base is None else ada_url.join_url(base, raw)
    except ValueError:
        return None
    if not href.startswith(("http://", "https://")):
        return None
    url = href.partition("#")[0]
    authority = url.split("/", 3)[2]  # a path always follows, if only a slash
    return None if "@" in authority or _has_long_host(url) else url


def _has_long_host(url: str) -> bool:
    # A dot at its end stands for the root, which has no name.
    return len(url) > MAX_HOST_CHARS and len(host_of(url).removesuffix(".")) > MAX_HOST_CHARS


def _joined_as_it_stands(raw: str, base: str) -> str | None:
    if _BEHIND_HOST.fullmatch(raw):
        return base[: base.index("/", len("https://"))] + raw
    if _BEHIND_FOLDER.fullmatch(raw):
        return base[: base.partition("?")[0].rindex("/") + 1] + raw
    return None


def canonical_urls(raws: pl.Series) -> pl.Series:
    """Return what `canonical_url` does for each string of a column without nulls."""
    is_canonical = (
        raws.str.contains(_AS_IT_STANDS)
        & ~raws.str.contains(_ENCODED_HOST, literal=True)
        & ~raws.str.contains(_LONG_HOST)
        & (raws.str.len_chars() <= MAX_URL_CHARS)
    )
    others = is_canonical.not_().arg_true()
    urls = pl.Series([canonical_url(raw) for raw in raws.gather(others)], dtype=pl.String)
    return raws.clone().scatter(others, urls)


def host_of(url: str) -> str:
    """Return the host name of a canonical URL, without its port."""
    authority = url.split("/", 3)[2]
    host, colon, port = authority.rpartition(":")
    return host if colon and port[-1] != "]" else authority


def hosts_of(urls: pl.Series) -> pl.Series:
    """Return what `host_of` does for each of a column of canonical URLs."""
    return urls.str.extract(r"^https?://(\[[^\]]*\]|[^/:]*)").fill_null("")


def address_name_of(url: str) -> str:
    """Return host and port of a canonical URL, as `host:port`."""
    parsed = ada_url.URL(url)
    return f"{parsed.hostname}:{parsed.port or ('443' if parsed.protocol == 'https:' else '80')}"


def has_bad_port(url: str) -> bool:
    """Tell whether a canonical URL names a port that belongs to another service."""
    port = url.split("/", 3)[2].rpartition(":")[2]
    return port.isdecimal() and int(port) in BAD_PORTS


def origin_of(url: str) -> str:
    """Return scheme, host and port of a canonical URL: the scope of one robots.txt."""
    return url[: url.index("/", len("https://"))]  # user names are refused, default ports dropped
