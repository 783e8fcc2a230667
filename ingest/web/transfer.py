"""One request and its answer on a libcurl handle, and the meaning of libcurl's errors.

Nothing here waits: `client.WebClient` drives many transfers at once. Details are words for
people. They contain no time and no port, because they become part of the ledger.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import Enum, StrEnum
from importlib.metadata import version
from typing import Any

import pycurl

from openalign.files.states import FetchState
from openalign.ingest.web.addresses import is_allowed, parse_networks
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.opt_outs import opt_out_in
from openalign.ingest.web.outages import Trouble
from openalign.ingest.web.robots import AGENT
from openalign.ingest.web.urls import address_name_of

Headers = Sequence[tuple[str, str]]

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)")
_BUFFER_BYTES = 128 * 1024
_IGNORED_BODY_BYTES = 64 * 1024

_TLS = "TLS could not be set up"
_NOT_HTTP = "the answer is not HTTP"
_BROKEN = "the connection broke"
_CURL_ERRORS: dict[int, tuple[FetchState, str, bool]] = {
    # Addresses are http URLs, so the answer is in another protocol.
    pycurl.E_UNSUPPORTED_PROTOCOL: (FetchState.CONNECT_FAILURE, _NOT_HTTP, False),
    pycurl.E_FTP_WEIRD_SERVER_REPLY: (FetchState.CONNECT_FAILURE, _NOT_HTTP, False),
    pycurl.E_URL_MALFORMAT: (FetchState.BAD_URL, "not a URL", False),
    pycurl.E_COULDNT_RESOLVE_HOST: (FetchState.DNS_FAILURE, "the host has no address", True),
    pycurl.E_COULDNT_CONNECT: (FetchState.CONNECT_FAILURE, "no connection", True),
    pycurl.E_OPERATION_TIMEDOUT: (FetchState.TIMEOUT, "too slow", True),
    pycurl.E_PARTIAL_FILE: (FetchState.TRUNCATED, "the body ended early", True),
    pycurl.E_GOT_NOTHING: (FetchState.CONNECT_FAILURE, "the server sent nothing", True),
    pycurl.E_SEND_ERROR: (FetchState.CONNECT_FAILURE, _BROKEN, True),
    pycurl.E_RECV_ERROR: (FetchState.CONNECT_FAILURE, _BROKEN, True),
    pycurl.E_HTTP2: (FetchState.CONNECT_FAILURE, _BROKEN, True),
    pycurl.E_BAD_CONTENT_ENCODING: (FetchState.TRUNCATED, "its encoding is broken", False),
    pycurl.E_SSL_CONNECT_ERROR: (FetchState.TLS_FAILURE, _TLS, False),
    pycurl.E_PEER_FAILED_VERIFICATION: (
        FetchState.TLS_FAILURE,
        "the certificate is not to be trusted",
        False,
    ),
    pycurl.E_SSL_CIPHER: (FetchState.TLS_FAILURE, _TLS, False),
    pycurl.E_SSL_CERTPROBLEM: (FetchState.TLS_FAILURE, _TLS, False),
    pycurl.E_SSL_CACERT_BADFILE: (FetchState.TLS_FAILURE, "no certificates to trust", False),
    pycurl.E_SSL_ISSUER_ERROR: (FetchState.TLS_FAILURE, _TLS, False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """An answer before its body."""

    url: str
    """The URL that answered, after redirects."""

    status: int
    headers: Headers
    """In order of arrival, with names in lower case."""

    def header(self, name: str) -> str | None:
        """Return the last value of a header, or None."""
        for other, value in reversed(self.headers):
            if other == name:
                return value
        return None

    @property
    def content_type(self) -> str | None:
        """Return the media type in lower case, without parameters."""
        value = (self.header("content-type") or "").partition(";")[0].strip().lower()
        return value or None

    @property
    def charset(self) -> str | None:
        """Return the charset parameter of the content type."""
        for parameter in (self.header("content-type") or "").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip("\"'") or None
        return None

    @property
    def retry_after_seconds(self) -> float | None:
        """Return how long the host asks clients to wait, or None if it does not say."""
        value = (self.header("retry-after") or "").strip()
        if value.isascii() and value.isdigit():
            return float(value)
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except (TypeError, ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The reason for refusing an answer; it ends the transfer."""

    state: StrEnum
    detail: str


class Glance(Enum):
    """The verdict on the first bytes of a body."""

    MORE = "more"
    TAKE = "take"


Look = Callable[[Head, bytes], Glance | Refusal]
"""Judges a body by its first bytes. After MORE, it is called again with twice as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one transfer ended: with a whole answer, or with a reason."""

    head: Head | None
    body: bytes
    refusal: Refusal | None = None
    can_heal: bool = False
    """Whether another attempt may succeed."""

    address: str | None = None
    """The IP address that answered, or the last one that was tried."""

    trouble: Trouble | None = None
    """Set for a failure whose cause may be this machine and not the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyRule:
    """How much of a body is taken."""

    max_bytes: int
    cut: bool = False
    """Take the first `max_bytes` of a larger body instead of refusing it."""

    look: Look | None = None


@dataclass(slots=True)
class _Answer:
    """The part of an answer that has arrived."""

    status: int = 0
    is_new_block: bool = True
    """Whether the next line is a status line: the first, or the one after an interim answer."""

    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: bytearray = field(default_factory=bytearray)
    refusal: Refusal | None = None
    refused_address: str | None = None
    tried_address: str | None = None
    socket_errno: int = 0
    is_judged: bool = False
    is_cut: bool = False
    next_look_bytes: int | None = 0
    """Length of the body at which to look again; None when it is taken."""


class Transfer:
    """A libcurl handle; it serves one request after another."""

    def __init__(self, config: WebConfig, *, share: pycurl.CurlShare, accept: str) -> None:
        self._config = config
        self._allowed = parse_networks(config.allowed_networks)
        self._url = ""
        self._rule = BodyRule(max_bytes=0)
        self._judge_opt_out = False
        self._answer = _Answer()
        self.started = 0.0
        self.curl = pycurl.Curl()
        self._set_up(share, accept)

    def _set_up(self, share: pycurl.CurlShare, accept: str) -> None:
        config = self._config
        options: Mapping[int, Any] = {
            pycurl.SHARE: share,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.FOLLOWLOCATION: False,
            pycurl.NOSIGNAL: True,
            pycurl.PROXY: "",  # a proxy would hide the hosts' addresses
            pycurl.ACCEPT_ENCODING: "",
            pycurl.USERAGENT: user_agent(config.contact),
            pycurl.HTTPHEADER: [f"Accept: {accept}"],
            pycurl.BUFFERSIZE: _BUFFER_BYTES,
            pycurl.CONNECTTIMEOUT_MS: int(config.connect_seconds * 1000),
            pycurl.TIMEOUT_MS: int(config.total_seconds * 1000),
            pycurl.LOW_SPEED_LIMIT: config.min_bytes_per_second,
            pycurl.LOW_SPEED_TIME: config.slow_seconds,
            pycurl.CONNECT_TO: [f"{host}::{to}" for host, to in config.connect_to.items()],
            pycurl.HEADERFUNCTION: self._on_header,
            pycurl.WRITEFUNCTION: self._on_body,
            pycurl.OPENSOCKETFUNCTION: self._on_socket,
        }
        for option, value in options.items():
            self.curl.setopt(option, value)

    def prepare(
        self, url: str, *, rule: BodyRule, judge_opt_out: bool, look_up: bool, now: float
    ) -> None:
        """Prepare the handle for a URL; `look_up` resolves its name even if it is cached."""
        self._url = url
        self._rule = rule
        self._judge_opt_out = judge_opt_out
        self._answer = _Answer()
        self.started = now
        self.curl.setopt(pycurl.URL, url)
        if look_up:  # libcurl also caches failures, for half a minute
            self.curl.setopt(pycurl.RESOLVE, [f"-{address_name_of(url)}"])
        self.curl.setopt(pycurl.MAXFILESIZE_LARGE, 0 if rule.cut else rule.max_bytes)

    @property
    def has_answered(self) -> bool:
        """Tell whether the first byte of an answer has arrived."""
        return self._answer.status != 0

    @property
    def num_bytes(self) -> int:
        """Return how many bytes of the body have arrived."""
        return len(self._answer.body)

    def close(self) -> None:
        """Give the handle back to libcurl."""
        self.curl.close()

    def succeeded(self) -> Ending:
        """Return the ending of a transfer that libcurl completed without an error."""
        self._judge_head()  # an answer without a body is not judged before
        return self._ended(self._answer.refusal, can_heal=False)

    def failed(self, code: int) -> Ending:
        """Return the ending of a transfer that libcurl, or a callback of this object, gave up."""
        answer = self._answer
        if answer.refusal is not None:
            return self._ended(answer.refusal, can_heal=False)
        if answer.is_cut:
            return self._ended(None, can_heal=False)
        if answer.refused_address is not None:
            detail = f"{answer.refused_address} is not a public address"
            return self._ended(
                Refusal(state=FetchState.PRIVATE_ADDRESS, detail=detail), can_heal=False
            )
        if self._is_unwanted_body():
            return self._ended(None, can_heal=False)
        if code == pycurl.E_FILESIZE_EXCEEDED:
            return self._ended(self._too_large(), can_heal=False)
        state, detail, can_heal = _CURL_ERRORS.get(
            code, (FetchState.CONNECT_FAILURE, f"libcurl error {code}", False)
        )
        return self._ended(Refusal(state=state, detail=detail), can_heal=can_heal, code=code)

    def timed_out(self, detail: str) -> Ending:
        """Return the ending of a transfer that missed a deadline."""
        refusal = Refusal(state=FetchState.TIMEOUT, detail=detail)
        return self._ended(refusal, can_heal=True, code=pycurl.E_OPERATION_TIMEDOUT)

    def _ended(self, refusal: Refusal | None, *, can_heal: bool, code: int | None = None) -> Ending:
        answer = self._answer
        head = self._head() if answer.status else None
        if head is None and refusal is None:
            refusal = Refusal(state=FetchState.CONNECT_FAILURE, detail=_NOT_HTTP)
        # A body that broke off is left out: its length differs between attempts.
        body = bytes(answer.body) if refusal is answer.refusal else b""
        address = str(self.curl.getinfo(pycurl.PRIMARY_IP)) or answer.tried_address
        trouble = None
        if code is not None:
            trouble = Trouble(code=code, address=address, socket_errno=answer.socket_errno)
        return Ending(
            head=head,
            body=body,
            refusal=refusal,
            can_heal=can_heal,
            address=address,
            trouble=trouble,
        )

    def _head(self) -> Head:
        return Head(url=self._url, status=self._answer.status, headers=self._answer.headers)

    def _is_unwanted_body(self) -> bool:
        return self._answer.status != 0 and not 200 <= self._answer.status < 300

    def _on_header(self, line: bytes) -> None:
        answer = self._answer
        if answer.is_new_block:
            answer.is_new_block = False
            answer.status = _status_of(line)
            answer.headers = []
            return
        if not line.strip():
            answer.is_new_block = 100 <= answer.status < 200
            return
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            answer.headers.append((name.strip().lower(), value.strip()))

    def _on_body(self, data: bytes) -> int | None:
        answer = self._answer
        self._judge_head()
        if answer.refusal is not None or not answer.status:
            return 0
        answer.body += data
        if self._is_unwanted_body():
            # A short body is read to the end, so that the connection can be reused.
            return 0 if len(answer.body) > _IGNORED_BODY_BYTES else None
        if len(answer.body) > self._rule.max_bytes:
            self._end_large_body()
            return 0
        self._look()
        return 0 if answer.refusal is not None else None

    def _end_large_body(self) -> None:
        if self._rule.cut:
            del self._answer.body[self._rule.max_bytes :]
            self._answer.is_cut = True
            return
        self._answer.refusal = self._too_large()

    def _too_large(self) -> Refusal:
        limit = f"larger than {self._rule.max_bytes} bytes"
        return Refusal(state=FetchState.TOO_LARGE, detail=limit)

    def _judge_head(self) -> None:
        answer = self._answer
        if answer.is_judged or not answer.status:
            return
        answer.is_judged = True
        as_of = self._config.opt_outs_day
        withheld = opt_out_in(answer.headers, as_of=as_of) if self._judge_opt_out else None
        if withheld is not None and answer.status < 400:
            answer.refusal = Refusal(state=FetchState.OPTED_OUT, detail=withheld)

    def _look(self) -> None:
        answer = self._answer
        length = len(answer.body)
        if self._rule.look is None or answer.next_look_bytes is None:
            return
        if length < answer.next_look_bytes:
            return
        seen = self._rule.look(self._head(), bytes(answer.body))
        answer.next_look_bytes = None if seen is Glance.TAKE else 2 * length
        if isinstance(seen, Refusal):
            answer.refusal = seen

    def _on_socket(self, purpose: int, address: Any) -> Any:
        del purpose
        family, kind, protocol, where = address
        if family not in (socket.AF_INET, socket.AF_INET6):
            return pycurl.SOCKET_BAD
        if not is_allowed(where[0], self._allowed):
            self._answer.refused_address = where[0]
            return pycurl.SOCKET_BAD
        self._answer.tried_address = where[0]
        try:
            opened = socket.socket(family, kind, protocol)
            os.close(os.dup(opened.fileno()))  # pycurl duplicates it too, and hides a failure
        except OSError as error:
            self._answer.socket_errno = error.errno or 0
            return pycurl.SOCKET_BAD
        return _Socket(opened)


class _Socket:
    """A socket for libcurl, which duplicates its descriptor and then drops it."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner

    def fileno(self) -> int:
        return self._inner.fileno()

    def __del__(self) -> None:
        self._inner.close()


def user_agent(contact: str) -> str:
    """Return the User-Agent: the project, its version and a contact, where there is one."""
    name = f"{AGENT}/{version('openalign')}"
    return f"{name} (+{contact})" if contact else name


def _status_of(line: bytes) -> int:
    found = _STATUS_LINE.match(line)
    return int(found.group(1)) if found else 0
