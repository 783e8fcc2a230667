"""What img2dataset says, as states of `fetch`. Texts are those of CPython 3.11."""

import pycurl
import pytest

from openalign.files.states import FetchState
from openalign.ingest.fetching.img2dataset.messages import refusal_of, refusal_of_file, trouble_of

LOOP = (
    "HTTP Error 302: The HTTP server returned a redirect error that would lead to an infinite "
    "loop.\nThe last 30x error message was:\nFound"
)


@pytest.mark.parametrize(
    ("message", "state", "detail"),
    [
        ("HTTP Error 404: Not Found", FetchState.HTTP_GONE, "HTTP 404"),
        ("HTTP Error 410: Gone", FetchState.HTTP_GONE, "HTTP 410"),
        ("HTTP Error 403: Forbidden", FetchState.HTTP_CLIENT_ERROR, "HTTP 403"),
        ("HTTP Error 429: Too Many Requests", FetchState.HTTP_SERVER_ERROR, "HTTP 429"),
        ("HTTP Error 500: ", FetchState.HTTP_SERVER_ERROR, "HTTP 500"),
        ("HTTP Error 503: Service\nUnavailable", FetchState.HTTP_SERVER_ERROR, "HTTP 503"),
        (LOOP, FetchState.TOO_MANY_REDIRECTS, "too many redirects, or a loop"),
        ("HTTP Error 302: Found", FetchState.BAD_URL, "HTTP 302 leads to no http URL"),
        (
            "HTTP Error 301: Moved - Redirection to url 'file:///etc/passwd' is not allowed",
            FetchState.BAD_URL,
            "HTTP 301 leads to no http URL",
        ),
        ("<urlopen error timed out>", FetchState.TIMEOUT, "too slow"),
        ("The read operation timed out", FetchState.TIMEOUT, "too slow"),
        ("<urlopen error _ssl.c:989: The handshake operation timed out>", FetchState.TIMEOUT, ""),
        ("<urlopen error [Errno 110] Connection timed out>", FetchState.TIMEOUT, "too slow"),
        (
            "<urlopen error [Errno -2] Name or service not known>",
            FetchState.DNS_FAILURE,
            "the host has no address",
        ),
        ("<urlopen error [Errno -3] Temporary failure in name resolution>", "dns_failure", ""),
        ("<urlopen error [Errno -5] No address associated with hostname>", "dns_failure", ""),
        (
            "<urlopen error [Errno 111] Connection refused>",
            FetchState.CONNECT_FAILURE,
            "no connection",
        ),
        ("[Errno 104] Connection reset by peer", "connect_failure", "the connection broke"),
        (
            "Remote end closed connection without response",
            FetchState.CONNECT_FAILURE,
            "the server sent nothing",
        ),
        (
            "<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:9)>",
            FetchState.TLS_FAILURE,
            "the certificate is not to be trusted",
        ),
        (
            "<urlopen error [SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)>",
            FetchState.TLS_FAILURE,
            "TLS could not be set up",
        ),
        (
            "IncompleteRead(132 bytes read, 9867 more expected)",
            FetchState.TRUNCATED,
            "the body ended early",
        ),
        ("<urlopen error unknown url type: ftp>", FetchState.BAD_URL, "not a URL"),
        ("got more than 65536 bytes when reading header line", "header_too_large", "too long"),
        ("got more than 100 headers", FetchState.HEADER_TOO_LARGE, "its header is too long"),
        ("got more than 65536 bytes when reading status line", "connect_failure", "not HTTP"),
        (
            "<urlopen error its port belongs to another service>",
            FetchState.BAD_URL,
            "its port belongs to another service",
        ),
        (
            "Use of image disallowed by X-Robots-Tag directive",
            FetchState.OPTED_OUT,
            "X-Robots-Tag",
        ),
        (
            "<urlopen error not a public address: 10.0.0.1>",
            FetchState.PRIVATE_ADDRESS,
            "10.0.0.1 is not a public address",
        ),
        ("something else\nover two lines", FetchState.CONNECT_FAILURE, "something else"),
        ("", FetchState.CONNECT_FAILURE, ""),
    ],
)
def test_each_message_has_its_state(message: str, state: str, detail: str) -> None:
    refusal = refusal_of(message)

    assert refusal.state == state
    assert detail in refusal.detail
    assert "\n" not in refusal.detail


@pytest.mark.parametrize(
    ("message", "state"),
    [
        ("image area too large", FetchState.TOO_MANY_PIXELS),
        ("Image decoding error", FetchState.DECODE_FAILURE),
        ("OpenCV(4.14.0) /io/color.cpp:199: error: (-215:Assertion failed)", "decode_failure"),
    ],
)
def test_what_it_says_of_a_file_names_no_release(message: str, state: str) -> None:
    refusal = refusal_of_file(message)

    assert refusal.state == state
    assert not any(character.isdigit() for character in refusal.detail.replace("img2dataset", ""))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("HTTP Error 500: ", None),
        ("Remote end closed connection without response", None),
        (
            "<urlopen error [Errno -2] Name or service not known>",
            (pycurl.E_COULDNT_RESOLVE_HOST, None, 0),
        ),
        (
            "<urlopen error [Errno 24] Too many open files>",
            (pycurl.E_COULDNT_CONNECT, "192.0.2.7", 24),
        ),
        ("<urlopen error timed out>", (pycurl.E_OPERATION_TIMEDOUT, "192.0.2.7", 0)),
    ],
)
def test_what_may_be_this_machines_fault_is_told(
    message: str, expected: tuple[int, str | None, int] | None
) -> None:
    trouble = trouble_of(message, refusal_of(message), address="192.0.2.7")

    found = trouble and (trouble.code, trouble.address, trouble.socket_errno)
    assert found == expected
