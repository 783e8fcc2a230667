"""What comes back of a request: its head, how much of a body is taken, and how it ended."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, StrEnum

from openalign.ingest.web.outages import Trouble

_SECONDS = re.compile(r"\+?([0-9]+(?:\.[0-9]*)?)(?: ?(?:s|secs?|seconds?)\.?)?", re.IGNORECASE)
"""RFC 9110 10.2.3 has digits alone."""

Headers = Sequence[tuple[str, str]]

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_TEMPORARY = frozenset({408, 425, 429})
"""Statuses below 500 that ask to come again: too slow a request, too early, too many."""


def is_temporary(status: int) -> bool:
    """Tell whether a status says that the same request may succeed later."""
    return status in _TEMPORARY or 500 <= status < 600


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
    def location(self) -> str:
        """Return where a redirect leads, as far as the header says, or an empty text.

        Bytes that are no ASCII are UTF-8, as browsers read them; otherwise they are escaped.
        """
        raw = (self.header("location") or "").encode("latin-1")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in raw)

    @property
    def retry_after_seconds(self) -> float | None:
        """Return how long the host asks clients to wait, or None if it does not say.

        A date counts from the host's own `Date`, since its clock and ours may differ. Of several
        headers or numbers in a list, such as those of a server and of what stands before it, the
        longest holds. Dates have commas of their own, so there is no list of them.
        """
        asked = [
            seconds
            for name, value in self.headers
            if name == "retry-after" and (seconds := self._wait_in(value)) is not None
        ]
        return max(asked, default=None)

    def _wait_in(self, value: str) -> float | None:
        texts = [part.partition(";")[0].strip(" \t\"'") for part in value.split(",")]
        parts = [_SECONDS.fullmatch(text) for text in texts]
        numbers = [float(part[1]) for part in parts if part is not None]
        if numbers:
            return max(numbers)
        until = _moment(value.strip())
        if until is None:
            return None
        return max(0.0, until - (_moment(self.header("date") or "") or time.time()))


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

    is_stale: bool = False
    """Whether an earlier answer on the same connection may be the reason: it left bytes, or hung up
    behind itself."""

    closes_host: bool = False
    """Whether the reason holds for all addresses of the host."""

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


def _moment(value: str) -> float | None:
    """Return a date of HTTP, or of ISO 8601, in seconds since 1970; None when it is neither."""
    try:
        is_iso = value[:4].isdigit()
        moment = datetime.fromisoformat(value) if is_iso else parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
