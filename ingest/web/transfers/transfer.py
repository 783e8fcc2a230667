"""One request and its answer on a libcurl handle.

Nothing here waits: `connections.Connections` drives many transfers at once. Details are words for
people. They contain no time and no port, because they become part of the ledger.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pycurl

from openalign.files.states import FetchState
from openalign.ingest.web.addresses import parse_networks
from openalign.ingest.web.answers import BodyRule, Ending, Glance, Head, Refusal
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.outages import Trouble
from openalign.ingest.web.rules.opt_outs import opt_out_in
from openalign.ingest.web.transfers.certificates import Trust
from openalign.ingest.web.transfers.curl_errors import (
    BROKEN_HEADER,
    CLOSED_BEFORE,
    CUT_HEADER,
    LONG_HEADER,
    NOT_HTTP,
    distrust_of,
    meaning_of,
)
from openalign.ingest.web.transfers.curl_options import options_of
from openalign.ingest.web.transfers.encodings import (
    Decoder,
    EncodingError,
    decoders_for,
    ended,
    fed,
)
from openalign.ingest.web.transfers.sockets import Sockets
from openalign.ingest.web.urls import address_name_of, host_of

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_BLANKS = " \t\r\n"
_IGNORED_BODY_BYTES = 64 * 1024
_MAX_HEADER_BYTES = 256 * 1024
"""Of all header lines of an answer, interim ones included; libcurl itself breaks at 300 kB."""

_SWITCHING = 101
"""The one status below 200 that another answer does not follow, since nothing of HTTP does."""


@dataclass(slots=True)
class _Answer:
    """The part of an answer that has arrived."""

    status: int = 0
    is_new_block: bool = True
    """Whether the next line is a status line: the first, or the one after an interim answer."""

    is_header_whole: bool = False
    """Whether the empty line behind the header has come."""

    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    num_header_bytes: int = 0
    num_body_bytes: int = 0
    """As they came, encoded."""

    decoders: Sequence[Decoder] = ()
    body: bytearray = field(default_factory=bytearray)
    refusal: Refusal | None = None
    is_judged: bool = False
    is_cut: bool = False
    next_look_bytes: int | None = 0
    """Length of the body at which to look again; None when it is taken."""


class HeldBytes:
    """A running total of the bodies in memory."""

    def __init__(self) -> None:
        self.num = 0


class Transfer:
    """A libcurl handle; it serves one request after another."""

    def __init__(
        self,
        config: WebConfig,
        *,
        share: pycurl.CurlShare,
        agent: str,
        accept: str,
        trust: Trust,
        held: HeldBytes,
    ) -> None:
        self._config = config
        self._held = held
        self.sockets = Sockets(parse_networks(config.allowed_networks))
        self._url = ""
        self._named = ""
        self._rule = BodyRule(max_bytes=0)
        self._judge_opt_out = False
        self._answer = _Answer()
        self.started = 0.0
        self._last_quick = (0.0, 0)
        """When the answer was last quick enough, and how many bytes there were then."""

        self.curl = pycurl.Curl()
        options = {
            **options_of(config, share=share, agent=agent, accept=accept, trust=trust),
            pycurl.HEADERFUNCTION: self._on_header,
            pycurl.WRITEFUNCTION: self._on_body,
            pycurl.OPENSOCKETFUNCTION: self.sockets.open,
        }
        for option, value in options.items():
            self.curl.setopt(option, value)

    def prepare(
        self,
        url: str,
        *,
        rule: BodyRule,
        judge_opt_out: bool,
        on_new_connection: bool,
        addresses: Sequence[str],
        now: float,
    ) -> None:
        """Prepare the handle for a URL, whose host has these addresses.

        There are none where libcurl needs none: for a host that is an address, behind a proxy, and
        where `connect_to` says it.
        """
        self._url = url
        self._rule = rule
        self._judge_opt_out = judge_opt_out
        self._answer = _Answer()
        self.started = now
        self._last_quick = (now, 0)
        has_proxy = bool(self._config.proxy) and host_of(url) not in self._config.connect_to
        self.sockets.reset(judges_addresses=not has_proxy)
        if self._config.proxy:
            self.curl.setopt(pycurl.PROXY, self._config.proxy if has_proxy else "")
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.FRESH_CONNECT, on_new_connection)
        self._name(address_name_of(url) if addresses else "", addresses)
        self.curl.setopt(pycurl.MAXFILESIZE_LARGE, 0 if rule.cut else rule.max_bytes)

    def _name(self, name: str, addresses: Sequence[str]) -> None:
        """Tell libcurl the addresses of `host:port`, in place of those of the last request.

        libcurl goes through all the names that it keeps at the end of each transfer.
        """
        changes = [f"-{self._named}"] if self._named else []
        if name:
            changes.append(f"+{name}:{','.join(addresses)}")
        self.curl.setopt(pycurl.RESOLVE, changes)
        self._named = name

    @property
    def has_answered(self) -> bool:
        """Tell whether the first byte of an answer has arrived."""
        return self._answer.status != 0

    def note_speed(self, now: float) -> bool:
        """Note how much has come, and tell whether an answer has been too slow for too long.

        libcurl's own limit would also count the time before the first byte.
        """
        since, num_before = self._last_quick
        num_bytes = self._answer.num_header_bytes + self._answer.num_body_bytes
        least = self._config.min_bytes_per_second * (now - since)
        if not num_before or num_bytes - num_before >= least:
            self._last_quick = (now, num_bytes)
            return False
        return now - since >= self._config.slow_seconds

    def close(self) -> None:
        """Give the handle back to libcurl."""
        self.curl.close()

    def succeeded(self) -> Ending:
        """Return the ending of a transfer that libcurl completed without an error."""
        if self._answer.status and not self._answer.is_header_whole:
            refusal = Refusal(state=FetchState.TRUNCATED, detail=CUT_HEADER)
            return self._ended(refusal, can_heal=True)
        self._judge_head()  # an answer without a body is not judged before
        if self._answer.refusal is None and not self._is_unwanted_body():
            self._take(ended(self._answer.decoders))
        return self._ended(self._answer.refusal, can_heal=False)

    def failed(self, code: int) -> Ending:
        """Return the ending of a transfer that libcurl, or a callback of this object, gave up."""
        answer = self._answer
        self._judge_whole_head()
        if answer.refusal is not None:
            return self._ended(answer.refusal, can_heal=False)
        if answer.is_cut or self._has_unwanted_answer():
            return self._ended(None, can_heal=False)
        refused = self.sockets.refused_address
        if refused is not None and self.sockets.tried_address is None:
            detail = f"{refused} is not a public address"
            return self._ended(
                Refusal(state=FetchState.PRIVATE_ADDRESS, detail=detail), can_heal=False
            )
        if code == pycurl.E_FILESIZE_EXCEEDED:
            return self._ended(self._too_large(), can_heal=False)
        state, detail, can_heal = meaning_of(code)
        return self._ended(
            Refusal(state=state, detail=self._words_for(code, detail)), can_heal=can_heal, code=code
        )

    def _words_for(self, code: int, detail: str) -> str:
        """Return what an error of libcurl means of this answer, where that says more."""
        if code == pycurl.E_WRITE_ERROR and not self._answer.status:
            return NOT_HTTP  # its body was refused here
        if detail == NOT_HTTP and self._answer.status and not self._answer.is_new_block:
            return BROKEN_HEADER
        if code == pycurl.E_PEER_FAILED_VERIFICATION:
            return distrust_of(self.curl.getinfo(pycurl.SSL_VERIFYRESULT))
        return detail

    def timed_out(self, detail: str) -> Ending:
        """Return the ending of a transfer that missed a deadline."""
        self._judge_whole_head()
        if self._answer.refusal is not None or self._has_unwanted_answer():
            return self._ended(self._answer.refusal, can_heal=False)
        refusal = Refusal(state=FetchState.TIMEOUT, detail=detail)
        return self._ended(refusal, can_heal=True, code=pycurl.E_OPERATION_TIMEDOUT)

    def _ended(self, refusal: Refusal | None, *, can_heal: bool, code: int | None = None) -> Ending:
        answer = self._answer
        head = self._head() if answer.status else None
        if head is None and refusal is None:
            refusal = Refusal(state=FetchState.CONNECT_FAILURE, detail=NOT_HTTP)
        # A body that broke off is left out: its length differs between attempts.
        body = bytes(answer.body) if refusal is answer.refusal else b""
        self.forget()
        address = str(self.curl.getinfo(pycurl.PRIMARY_IP)) or self.sockets.tried_address
        trouble = None
        if code is not None:
            number = self.sockets.error_number
            trouble = Trouble(code=code, address=address, socket_errno=number)
        return Ending(
            head=head,
            body=body,
            refusal=refusal,
            can_heal=can_heal,
            is_stale=self._is_stale(refusal, code),
            address=address,
            trouble=trouble,
        )

    def _is_stale(self, refusal: Refusal | None, code: int | None) -> bool:
        """Tell whether an answer that came before on the same connection may be the reason."""
        if refusal is None or self.curl.getinfo(pycurl.NUM_CONNECTS):
            return False
        return refusal.detail == NOT_HTTP or (not self._answer.status and code == CLOSED_BEFORE)

    def forget(self) -> None:
        """Drop the body from the running total: whoever has the ending counts it, or nobody."""
        self._held.num -= len(self._answer.body)
        self._answer.body = bytearray()

    def _head(self) -> Head:
        return Head(url=self._url, status=self._answer.status, headers=self._answer.headers)

    def _is_unwanted_body(self) -> bool:
        return self._answer.status != 0 and not 200 <= self._answer.status < 300

    def _has_unwanted_answer(self) -> bool:
        """Tell whether the header alone decides, whatever became of the body.

        Behind an interim one the real one was to come.
        """
        is_whole = self._answer.is_header_whole and not 100 <= self._answer.status < 200
        return is_whole and self._is_unwanted_body()

    def _on_header(self, line: bytes) -> int | None:
        answer = self._answer
        answer.num_header_bytes += len(line)
        if answer.num_header_bytes > _MAX_HEADER_BYTES:
            answer.refusal = Refusal(state=FetchState.HEADER_TOO_LARGE, detail=LONG_HEADER)
            return 0
        if answer.is_new_block:
            answer.is_new_block = False
            answer.status = _status_of(line)
            answer.headers = []
            answer.is_header_whole = False
            return None
        if not line.strip():
            answer.is_new_block = 100 <= answer.status < 200
            answer.is_header_whole = True
            answer.is_cut = answer.status == _SWITCHING
            return 0 if answer.is_cut else None
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            # Of Latin-1, a plain strip would also take bytes in which characters of UTF-8 end.
            answer.headers.append((name.strip(_BLANKS).lower(), value.strip(_BLANKS)))
        return None

    def _on_body(self, data: bytes) -> int | None:
        answer = self._answer
        answer.num_body_bytes += len(data)
        self._judge_head()
        if answer.refusal is not None or not answer.status:
            return 0
        if self._is_unwanted_body():
            # A short body is read to the end, so that the connection can be reused.
            self._hold(data)
            return 0 if len(answer.body) > _IGNORED_BODY_BYTES else None
        self._take(fed(answer.decoders, data))
        return 0 if answer.refusal is not None or answer.is_cut else None

    def _take(self, pieces: Iterable[bytes]) -> None:
        """Take the content of a body, as far as it is wanted."""
        answer = self._answer
        try:
            for piece in pieces:
                self._hold(piece)
                if len(answer.body) > self._rule.max_bytes:
                    self._end_large_body()
                else:
                    self._look()
                if answer.refusal is not None or answer.is_cut:
                    return
        except EncodingError:
            self.forget()  # how much came out differs between attempts
            detail = "its encoding is broken"
            answer.refusal = Refusal(state=FetchState.TRUNCATED, detail=detail)

    def _hold(self, data: bytes) -> None:
        self._answer.body += data
        self._held.num += len(data)

    def _end_large_body(self) -> None:
        answer, max_bytes = self._answer, self._rule.max_bytes
        if not self._rule.cut:
            answer.refusal = self._too_large()
            return
        self._held.num -= len(answer.body) - max_bytes
        del answer.body[max_bytes:]
        answer.is_cut = True

    def _too_large(self) -> Refusal:
        limit = f"larger than {self._rule.max_bytes} bytes"
        return Refusal(state=FetchState.TOO_LARGE, detail=limit)

    def _judge_whole_head(self) -> None:
        """Judge a header whose body was broken or late; opt-outs hold all the same."""
        if self._answer.is_header_whole and not 100 <= self._answer.status < 200:
            self._judge_head()

    def _judge_head(self) -> None:
        answer = self._answer
        if answer.is_judged or not answer.status:
            return
        answer.is_judged = True
        named = [value for name, value in answer.headers if name == "content-encoding"]
        answer.decoders = decoders_for(named)
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


def unresolved(*, is_certain: bool) -> Ending:
    """Return the ending of a request whose host has no address, for certain or as it seems now."""
    code = pycurl.E_COULDNT_RESOLVE_HOST
    state, detail, _ = meaning_of(code)
    return Ending(
        head=None,
        body=b"",
        refusal=Refusal(state=state, detail=detail),
        can_heal=not is_certain,
        closes_host=is_certain,
        trouble=None if is_certain else Trouble(code=code),
    )


def _status_of(line: bytes) -> int:
    found = _STATUS_LINE.match(line)
    return int(found.group(1)) if found else 0
