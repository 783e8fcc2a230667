"""Cases of headers, lengths, silence and certificates."""

from dataclasses import replace

from openalign.files.states import FetchState
from openalign.hostile_web.case import DOMAIN, GOOD, Answers, Case, Door
from openalign.hostile_web.certificates import Certificate
from openalign.hostile_web.made_images import good, start_of_png
from openalign.hostile_web.replies import Reply

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


def header_cases() -> list[Case]:
    """Return cases of what stands before a body."""
    many = [(f"X-{number}", "v" * 1000) for number in range(400)]
    return [
        Case(
            name="header-interim",
            does="answers 103 first, then the image",
            image=Reply(body=good(), interim=_EARLY),
        ),
        Case(
            name="header-no-colon",
            does="sends a header line without a colon",
            state=FetchState.CONNECT_FAILURE,
            image=_raw(_OK + b"nonsense\r\nContent-Length: %d\r\n\r\n" % len(good()) + good()),
        ),
        Case(
            name="header-no-length",
            does="sends a Content-Length without a number",
            state=FetchState.CONNECT_FAILURE,
            image=_raw(_OK + b"Content-Length: \r\n\r\n" + good()),
        ),
        Case(
            name="header-many-lines",
            does="sends 400 kB of header",
            state=FetchState.HEADER_TOO_LARGE,
            image=Reply(body=good(), headers=many),
        ),
        Case(
            name="header-long-line",
            does="sends a header line of 200 kB",
            state=FetchState.HEADER_TOO_LARGE,
            image=Reply(body=good(), headers=[("X-Long", "v" * 200_000)]),
        ),
        Case(
            name="header-endless",
            does="sends header lines without end",
            state=FetchState.HEADER_TOO_LARGE,
            image=Reply(raw=_OK, endless=b"X-More: and more\r\n" * 100),
        ),
        Case(
            name="header-endless-interim",
            does="answers 103 without end",
            state=FetchState.HEADER_TOO_LARGE,
            image=Reply(raw=b"", endless=_EARLY * 100),
        ),
        Case(
            name="header-interim-hang-up",
            does="answers 103, and hangs up",
            state=FetchState.CONNECT_FAILURE,
            image=_raw(_EARLY),
        ),
        Case(
            name="header-cut",
            does="hangs up within its header",
            state=FetchState.TRUNCATED,
            image=_raw(_OK + b"Content-Type: ima"),
        ),
        Case(
            name="header-ssh",
            does="answers as an ssh server does",
            state=FetchState.CONNECT_FAILURE,
            image=_raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
        ),
        Case(
            name="header-bad-status",
            does="answers with a status of four digits",
            state=FetchState.CONNECT_FAILURE,
            image=_raw(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
        ),
    ]


def length_cases() -> list[Case]:
    """Return cases of how long a body is, and how long it says it is."""
    whole = good()
    return [
        _length(
            "none", "sends an image without a length, and hangs up", _raw(_OK + b"\r\n" + whole)
        ),
        _length(
            "chunked", "sends an image in chunks", _raw(_CHUNKED + _chunk(whole) + b"0\r\n\r\n")
        ),
        _length(
            "too-long",
            "says that a body is longer than it is",
            Reply(body=whole, length=2 * len(whole)),
            FetchState.TRUNCATED,
        ),
        _length(
            "too-short",
            "says that a body is half as long as it is",
            Reply(body=whole, length=len(whole) // 2),
            FetchState.DECODE_FAILURE,
        ),
        _length(
            "huge",
            "says that a body has a terabyte",
            Reply(body=whole, length=1 << 40),
            FetchState.TOO_LARGE,
        ),
        _length(
            "two",
            "says two lengths of a body",
            Reply(body=whole, headers=[("Content-Length", "7")]),
            FetchState.CONNECT_FAILURE,
        ),
        _length("empty", "sends an empty body", Reply(), FetchState.NOT_AN_IMAGE),
        _length(
            "no-last-chunk",
            "sends an image in chunks, and hangs up before the last one",
            _raw(_CHUNKED + _chunk(whole)),
            FetchState.TRUNCATED,
        ),
        _length(
            "broken-chunk",
            "sends a chunk whose length is no number",
            _raw(_CHUNKED + b"zz\r\n" + whole),
            FetchState.CONNECT_FAILURE,
        ),
        _length(
            "endless",
            "sends a PNG without end",
            Reply(raw=_OK + b"\r\n" + start_of_png(), endless=b"\0" * (1 << 16)),
            FetchState.TOO_LARGE,
            is_costly=True,
        ),
    ]


def _length(
    name: str,
    does: str,
    image: Answers,
    state: FetchState = FetchState.FETCHED,
    *,
    is_costly: bool = False,
) -> Case:
    return Case(name=f"length-{name}", does=does, image=image, state=state, is_costly=is_costly)


def _raw(content: bytes) -> Reply:
    return Reply(raw=content)


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def slow_cases() -> list[Case]:
    """Return cases of hosts that take a request, and then their time."""
    silence = Reply(raw=b"", then_silent=True)
    return [
        _slow("no-answer", "takes a request and says nothing", silence, "first_byte_seconds"),
        _slow(
            "header-drip",
            "sends a byte of its header a second",
            Reply(raw=_OK + b"X-Slow: ", endless=b"y", endless_seconds=1),
            "slow_seconds",
        ),
        _slow(
            "stall",
            "sends its header, and then nothing",
            Reply(raw=_OK + b"Content-Length: 9000\r\n\r\n", then_silent=True),
            "slow_seconds",
        ),
        _slow(
            "stall-inside",
            "sends half an image, and then nothing",
            Reply(raw=_OK + b"Content-Length: 9000\r\n\r\n" + start_of_png(), then_silent=True),
            "slow_seconds",
        ),
        _slow(
            "tarpit",
            "sends a byte of its body a second",
            Reply(raw=_OK + b"\r\n" + start_of_png(), endless=b"\0", endless_seconds=1),
            "slow_seconds",
        ),
        _slow(
            "drip",
            "sends 8 kB a second without end, which is not too slow",
            Reply(raw=_OK + b"\r\n" + start_of_png(), endless=b"\0" * 4000, endless_seconds=0.5),
            "total_seconds",
        ),
        Case(
            name="slow-404",
            does="answers 404, and sends a byte of its page a second",
            state=FetchState.HTTP_GONE,
            image=Reply(raw=b"HTTP/1.1 404 Not Found\r\n\r\n", endless=b"\n", endless_seconds=1),
            deadline="slow_seconds",
        ),
        Case(
            name="slow-robots",
            does="says nothing when robots.txt is asked for",
            state=FetchState.TIMEOUT,
            robots=silence,
            deadline="first_byte_seconds",
        ),
    ]


def silence_cases() -> list[Case]:
    """Return cases of hosts that never speak, or end the connection."""
    return [
        Case(
            name="silent-port",
            does="takes connections and says nothing at all",
            state=FetchState.TIMEOUT,
            door=Door.SILENT,
            deadline="first_byte_seconds",
        ),
        Case(
            name="silent-tls",
            does="takes connections and never speaks TLS",
            state=FetchState.TIMEOUT,
            scheme="https",
            door=Door.SILENT,
            deadline="connect_seconds",
        ),
        Case(
            name="hang-up",
            does="hangs up without a word",
            state=FetchState.CONNECT_FAILURE,
            image=Reply(hang_up=True),
        ),
        Case(
            name="hang-up-robots",
            does="hangs up when robots.txt is asked for",
            state=FetchState.CONNECT_FAILURE,
            robots=Reply(hang_up=True),
        ),
        Case(
            name="hang-up-heals",
            does="hangs up once, then sends the image",
            image=[Reply(hang_up=True), GOOD],
        ),
        Case(
            name="hang-up-used",
            does="hangs up where a connection is used again",
            image=replace(GOOD, once_a_connection=True),
        ),
    ]


def _slow(name: str, does: str, image: Reply, deadline: str) -> Case:
    return Case(
        name=f"slow-{name}",
        does=does,
        state=FetchState.TIMEOUT,
        image=image,
        deadline=deadline,
    )


def tls_cases() -> list[Case]:
    """Return cases of TLS."""
    certificates = [
        ("self-signed", "signed its certificate itself", Certificate.SELF_SIGNED),
        ("expired", "shows a certificate that has expired", Certificate.EXPIRED),
        ("other-host", "shows the certificate of another host", Certificate.OTHER_HOST),
    ]
    bad = [
        Case(
            name=f"tls-{name}",
            does=does,
            state=FetchState.TLS_FAILURE,
            scheme="https",
            door=Door.HTTPS,
            certificate=certificate,
        )
        for name, does, certificate in certificates
    ]
    return [
        Case(name="good-https", does="serves over TLS", scheme="https", door=Door.HTTPS),
        *bad,
        Case(
            name="tls-none",
            does="speaks no TLS where TLS is expected",
            state=FetchState.TLS_FAILURE,
            scheme="https",
        ),
        Case(
            name="tls-redirect",
            does="answers 302 to a host whose certificate has expired",
            state=FetchState.TLS_FAILURE,
            image=Reply(
                status=302, headers=[("Location", f"https://tls-expired.{DOMAIN}/there.jpg")]
            ),
        ),
    ]
