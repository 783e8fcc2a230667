"""An archive on a web server, as a stream that goes on where its connection broke.

Hosts of archives are few and are told how often they may be asked. One budget holds for the whole
job without any worker knowing of another: the job has a fixed number of readers, and each has its
share of the requests a second.
"""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from openalign.errors import InputError
from openalign.ingest.sources.archives.tape import ArchiveError
from openalign.ingest.web.transfers.certificates import trusted
from openalign.ingest.web.transfers.curl_options import user_agent

CAN_HEAL = frozenset({403, 408, 425, 429, 500, 502, 503, 504})
"""Answers after which a request is repeated. Servers of archives also slow down with a 403."""


_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpManners:
    """How servers of archives are asked."""

    contact: str
    requests_per_second: float
    """Of one reader."""

    num_retries: int
    """Further attempts without a byte in between."""

    retry_seconds: float
    """Pause before the first retry; it doubles with each one."""

    max_retry_seconds: float
    """Longest pause; a host that asks for more is not asked again."""

    silence_seconds: float
    """Longest time without a byte."""

    proxy: str = ""
    """What everything is asked through, as `http://proxy.example:3128`; empty: directly."""

    ca_file: str = ""
    """A file of certificates to trust, instead of the environment's or the system's."""


@dataclass
class HttpReader:
    """One of the job's readers: it keeps the pace, and knows which hosts want no more requests."""

    manners: HttpManners
    _opener: urllib.request.OpenerDirector | None = None
    _due: float = 0.0
    _closed: dict[str, str] = field(default_factory=dict[str, str])

    def open(self, url: str) -> "HttpStream":
        """Return an archive as a stream; nothing is asked before it is read."""
        return HttpStream(url, self)

    def ask(self, request: urllib.request.Request) -> Any:
        """Send a request, once it is due, and return the answer.

        Raises:
            ArchiveError: its host said that it wants no more requests.
            InputError: the proxy is of another kind, or no certificates can be read.
            OSError: there is no answer, or one that is an error.
        """
        self._opener = self._opener or _opener(self.manners)
        if (reason := self._closed.get(request.host)) is not None:
            raise ArchiveError(reason)
        pause = self._due - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        self._due = time.monotonic() + 1 / self.manners.requests_per_second
        request.add_header("User-Agent", user_agent(self.manners.contact))
        return self._opener.open(request, timeout=self.manners.silence_seconds)

    def wait(self, host: str, num_tries: int, asked_seconds: float, reason: str) -> None:
        """Pause before a request is repeated.

        Raises:
            ArchiveError: it was repeated often enough, or its host asks for a longer pause.
        """
        manners = self.manners
        if asked_seconds > manners.max_retry_seconds:
            self._closed[host] = f"{reason}, and the server asks to wait {asked_seconds:.0f} s"
            raise ArchiveError(self._closed[host])
        if num_tries > manners.num_retries:
            raise ArchiveError(reason)
        pause = min(
            manners.max_retry_seconds, manners.retry_seconds * 2.0 ** min(num_tries - 1, 60)
        )
        time.sleep(max(pause, asked_seconds))


class HttpStream:
    """The bytes of an archive on a web server, in order."""

    def __init__(self, url: str, reader: HttpReader) -> None:
        self._url = url
        self._reader = reader
        self._answer: Any = None
        self._place = 0
        self._length: int | None = None
        """Bytes of the whole archive, once the server has said it."""

        self._stamp = ""
        """What the server calls this state of the archive."""

        self._num_tries = 0

    def read(self, num_bytes: int, /) -> bytes:
        """Return at most so many bytes; none at the end.

        Raises:
            ArchiveError: the archive cannot be read, or not further.
        """
        while True:
            asked_seconds = 0.0
            try:
                data = self._opened().read(num_bytes)
                if data:
                    self._place += len(data)
                    self._num_tries = 0
                    return data
                if self._length is None or self._place >= self._length:
                    return b""
                reason = "the connection ends early"
            except urllib.error.HTTPError as error:
                error.close()
                reason = f"the server answers {error.code}"
                if error.code not in CAN_HEAL:
                    raise ArchiveError(reason) from error
                asked_seconds = _asked_seconds(error.headers.get("Retry-After", ""))
            except (ValueError, http.client.InvalidURL) as error:
                raise ArchiveError("its address cannot be asked for") from error
            except (OSError, http.client.HTTPException) as error:
                reason = _reason(error)
            self.close()
            self._num_tries += 1
            host = urllib.request.Request(self._url).host  # noqa: S310  # http or https
            self._reader.wait(host, self._num_tries, asked_seconds, reason)

    def close(self) -> None:
        """Close the connection."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _opened(self) -> Any:
        """Return the answer that is being read; ask for what is left where there is none."""
        if self._answer is not None:
            return self._answer
        request = urllib.request.Request(self._url)  # noqa: S310  # http or https
        request.add_header("Accept-Encoding", "identity")
        if self._place:
            request.add_header("Range", f"bytes={self._place}-")
            if self._stamp:
                request.add_header("If-Range", self._stamp)
        answer = self._answer = self._reader.ask(request)
        headers = answer.headers
        etag = headers.get("ETag", "")
        stamp = headers.get("Last-Modified", "") if not etag or etag[:2] == "W/" else etag
        if self._place and stamp != self._stamp:
            raise ArchiveError("the server has another archive by now")
        self._stamp = stamp
        if answer.status != http.client.PARTIAL_CONTENT:
            length = headers.get("Content-Length", "")
            self._length = int(length) if _is_number(length) else None
            _skip(answer, self._place)
        elif not headers.get("Content-Range", "").startswith(f"bytes {self._place}-"):
            raise ArchiveError("the server sends another part than it was asked for")
        return answer


def _opener(manners: HttpManners) -> urllib.request.OpenerDirector:
    """Return what sends requests: through the proxy of the settings, never the environment's."""
    if manners.proxy and not manners.proxy.startswith("http://"):
        raise InputError(
            f"archives on web servers are read through http proxies only, got {manners.proxy}",
            hint="name one with `harvest.web.proxy`, or copy the archives",
        )
    proxies = {"http": manners.proxy, "https": manners.proxy} if manners.proxy else {}
    trust = trusted(manners.ca_file)
    context = ssl.create_default_context(cafile=trust.file or None, capath=trust.folder or None)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
    )


def _skip(answer: Any, num_bytes: int) -> None:
    """Read on to the place that was reached before: the server knows no ranges."""
    left = num_bytes
    while left and (data := answer.read(min(left, 1 << 20))):
        left -= len(data)


def _is_number(value: str) -> bool:
    """Tell whether a header's value is a whole number, as a server with sense writes it."""
    return value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS


def _asked_seconds(value: str) -> float:
    """Return how long a server asks to wait."""
    if _is_number(value.strip()):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _reason(error: Exception) -> str:
    """Return what broke in words without an address: an error may name a port."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "the server is silent"
    if isinstance(cause, ConnectionRefusedError):
        return "the server cannot be reached"
    return f"the connection broke ({type(cause).__name__})"
