"""What img2dataset says of an image that it could not have, as one of the states of `fetch`.

It hands on the text of an exception of Python's. The texts are those of CPython 3.10 to 3.12, with
the numbers of this system's errors.
"""

import errno
import re
import socket

import pycurl

from openalign.files.states import FetchState
from openalign.ingest.fetching.img2dataset.driver import BAD_PORT, NOT_PUBLIC
from openalign.ingest.web.answers import REDIRECTS, Refusal
from openalign.ingest.web.outages import Trouble
from openalign.ingest.web.outcomes import refusal_of_status
from openalign.ingest.web.transfers.curl_errors import LONG_HEADER, NOT_HTTP

BY_HEADER = "Use of image disallowed by X-Robots-Tag directive"

_HTTP = re.compile(r"HTTP Error (\d{3}): ?(.*)", re.DOTALL)
_ERRNO = re.compile(r"\[Errno (-?\d+)\]")
_NO_NAME = frozenset(
    {socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL, getattr(socket, "EAI_NODATA", -5)}
)
_CLOSED = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})

_LOOP = "would lead to an infinite loop"
_SLOW = ("timed out",)
_LONG = ("bytes when reading header line", "more than 100 headers")
_NO_HTTP = ("bytes when reading status line", "BadStatusLine", "UnknownProtocol")
_NO_URL = (
    "unknown url type",
    "no host given",
    "URL can't contain",
    "nonnumeric port",
    "codec can't encode",
    "label empty or too long",
    "label too long",
)


def refusal_of(message: str) -> Refusal:
    """Return the refusal for what a download failed with."""
    if message == BY_HEADER:
        return Refusal(state=FetchState.OPTED_OUT, detail="X-Robots-Tag")
    if NOT_PUBLIC in message:
        address = message.partition(NOT_PUBLIC)[2].rstrip(">")
        detail = f"{address} is not a public address"
        return Refusal(state=FetchState.PRIVATE_ADDRESS, detail=detail)
    if BAD_PORT in message:
        return Refusal(state=FetchState.BAD_URL, detail=BAD_PORT)
    if found := _HTTP.fullmatch(message):
        return _of_status(int(found.group(1)), found.group(2))
    state, detail = _of_connection(message)
    return Refusal(state=state, detail=detail)


def refusal_of_file(message: str) -> Refusal:
    """Return the refusal for what img2dataset says of a file that this project can decode."""
    if message == "image area too large":
        return Refusal(state=FetchState.TOO_MANY_PIXELS, detail="img2dataset counts more pixels")
    # OpenCV's own words name its release and its source files.
    return Refusal(state=FetchState.DECODE_FAILURE, detail="img2dataset cannot decode or store it")


def _of_status(status: int, words: str) -> Refusal:
    if _LOOP in words:
        return Refusal(state=FetchState.TOO_MANY_REDIRECTS, detail="too many redirects, or a loop")
    if status in REDIRECTS:
        detail = f"HTTP {status} leads to no http URL"
        return Refusal(state=FetchState.BAD_URL, detail=detail)
    return refusal_of_status(status)


def _of_connection(message: str) -> tuple[FetchState, str]:
    found = _ERRNO.search(message)
    number = int(found.group(1)) if found else 0
    for is_so, state, detail in (
        (number == errno.ETIMEDOUT or _has(message, _SLOW), FetchState.TIMEOUT, "too slow"),
        (number in _NO_NAME, FetchState.DNS_FAILURE, "the host has no address"),
        (
            "CERTIFICATE_VERIFY_FAILED" in message,
            FetchState.TLS_FAILURE,
            "the certificate is not to be trusted",
        ),
        (_has(message, ("[SSL", "[X509")), FetchState.TLS_FAILURE, "TLS could not be set up"),
        ("IncompleteRead" in message, FetchState.TRUNCATED, "the body ended early"),
        (
            "closed connection without response" in message,
            FetchState.CONNECT_FAILURE,
            "the server sent nothing",
        ),
        (number in _CLOSED, FetchState.CONNECT_FAILURE, "the connection broke"),
        (number != 0, FetchState.CONNECT_FAILURE, "no connection"),
        (_has(message, _NO_URL), FetchState.BAD_URL, "not a URL"),
        (_has(message, _LONG), FetchState.HEADER_TOO_LARGE, LONG_HEADER),
        (_has(message, _NO_HTTP), FetchState.CONNECT_FAILURE, NOT_HTTP),
    ):
        if is_so:
            return state, detail
    return FetchState.CONNECT_FAILURE, message.partition("\n")[0]


def _has(message: str, parts: tuple[str, ...]) -> bool:
    return any(part in message for part in parts)


def trouble_of(message: str, refusal: Refusal, *, address: str | None) -> Trouble | None:
    """Return what may be this machine's own fault; None where a host has answered.

    `address` is the last one that was tried.
    """
    code = {
        FetchState.DNS_FAILURE: pycurl.E_COULDNT_RESOLVE_HOST,
        FetchState.CONNECT_FAILURE: pycurl.E_COULDNT_CONNECT,
        FetchState.TIMEOUT: pycurl.E_OPERATION_TIMEDOUT,
    }.get(FetchState(refusal.state))
    found = _ERRNO.search(message)
    if code is None or (code == pycurl.E_COULDNT_CONNECT and found is None):
        return None
    number = int(found.group(1)) if found else 0
    return Trouble(
        code=code,
        address=None if code == pycurl.E_COULDNT_RESOLVE_HOST else address,
        socket_errno=max(0, number),
    )
