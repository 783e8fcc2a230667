"""Lists of images that must not be fetched: a line an entry, be it a URL, a host or a sha256."""

import gzip
import re
import zlib
from collections.abc import Sequence

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.lfs import refuse_pointer
from openalign.files.removals import ANY_BELOW, Removals, removals_of
from openalign.ingest.web.urls import canonical_url, host_of
from openalign.lines import lines_of

_SHA256 = re.compile(r"[0-9a-f]{64}")
_GZIP = b"\x1f\x8b"

_NO_HOST = re.compile(r"[*\"'<>,;=&(){}]|^\.|\.\.|[^.]{64}")
"""What no host's name has, though the standard takes some: marks of lists, too long a part."""

_NO_BLANK = re.compile(r"[^\S ]")
"""White space that URLs drop or escape, so that two entries would become one address."""

_CUT_HASH = re.compile(r"[0-9a-f]{32,}")
"""No name of a host, but a sha256 that lost digits, or another hash."""


def read_lists(paths: Sequence[str]) -> Removals:
    """Return what the lists in text files, plain or gzipped, say.

    A line is an image's URL, the sha256 of its file, a host, a site's URL without a path, which
    stands for its host, or a domain behind `*.`, for every host below it too. What follows a `#`
    behind white space is a remark.

    Raises:
        InputError: a list cannot be read, or names its file, the line and what stands there.
    """
    urls: list[str] = []
    hosts: list[str] = []
    sha256s: list[str] = []
    for path in paths:
        for number, line in enumerate(_lines(path), 1):
            entry = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
            if not entry:
                continue
            if _NO_BLANK.search(entry):
                raise _problem(entry, path, number)
            if _SHA256.fullmatch(entry.lower()):
                sha256s.append(entry.lower())
            elif "/" in entry:
                url = _url(entry, path, number)
                # A site's address is no image's: it names the site.
                names_site = url.count("/") == 3 and url.endswith("/")
                (hosts if names_site else urls).append(host_of(url) if names_site else url)
            else:
                hosts.append(_host(entry, path, number))
    return removals_of(urls, hosts, sha256s)


def _lines(path: str) -> list[str]:
    content = storage.read_bytes(path)
    refuse_pointer(path, content)
    try:
        if content[:2] == _GZIP:
            content = gzip.decompress(content)
        return lines_of(content.decode("utf-8-sig"))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as a removal list: {error}",
            hint="it is a text file in UTF-8, plain or gzipped, with a URL, host or sha256 a line",
        ) from error


def _url(entry: str, path: str, number: int) -> str:
    url = canonical_url(entry)
    if url is None or _NO_HOST.search(host_of(url)):
        raise _problem(entry, path, number)
    return url


def _host(entry: str, path: str, number: int) -> str:
    name = entry.removeprefix(ANY_BELOW)
    url = canonical_url(f"http://{name}/")
    host = "" if url is None else host_of(url)
    if not host or _NO_HOST.search(host) or _CUT_HASH.fullmatch(host.removesuffix(".")):
        raise _problem(entry, path, number)
    return entry[: len(entry) - len(name)] + host


def _problem(entry: str, path: str, number: int) -> InputError:
    return InputError(
        f"{path}, line {number}: {entry!r} is no URL, host or sha256",
        hint="write http://host/image.jpg, host.example, *.host.example, or 64 hex digits",
    )
