"""URLs in the canonical form of the WHATWG standard."""

import ada_url

MAX_URL_CHARS = 4096
"""Longer URLs count as broken."""


def canonical_url(raw: str, base: str | None = None) -> str | None:
    """Return the canonical form of an http or https URL, or None when it is not one.

    Scheme and host in lower case, default port and fragment dropped, path and query escaped, dots
    resolved. A URL that carries a user name or password is refused.
    """
    if len(raw) > MAX_URL_CHARS:
        return None
    try:
        url = ada_url.URL(raw, base=base)
    except ValueError:
        return None
    if url.protocol not in ("http:", "https:") or not url.hostname:
        return None
    if url.username or url.password:
        return None
    href = str(url.href)
    return href.partition("#")[0]


def host_of(url: str) -> str:
    """Return the host name of a canonical URL, without its port."""
    return str(ada_url.URL(url).hostname)


def address_name_of(url: str) -> str:
    """Return host and port of a canonical URL, as `host:port`."""
    parsed = ada_url.URL(url)
    return f"{parsed.hostname}:{parsed.port or ('443' if parsed.protocol == 'https:' else '80')}"


def origin_of(url: str) -> str:
    """Return scheme, host and port of a canonical URL: the scope of one robots.txt."""
    return str(ada_url.URL(url).origin)
