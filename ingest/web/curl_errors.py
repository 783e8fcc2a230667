"""What libcurl's errors mean: the state, words for people, and whether another attempt may help.

The words contain no time and no port, because they become part of the ledger.
"""

import pycurl

from openalign.files.states import FetchState

NOT_HTTP = "the answer is not HTTP"
LONG_HEADER = "its header is too long"
_TLS = "TLS could not be set up"
_BROKEN = "the connection broke"
# libcurl's numbers that pycurl has no names for.
_PROXY = 97
_TOO_LARGE = 100  # a line of a header

_CURL_ERRORS: dict[int, tuple[FetchState, str, bool]] = {
    # Addresses are http URLs, so the answer is in another protocol.
    pycurl.E_UNSUPPORTED_PROTOCOL: (FetchState.CONNECT_FAILURE, NOT_HTTP, False),
    pycurl.E_FTP_WEIRD_SERVER_REPLY: (FetchState.CONNECT_FAILURE, NOT_HTTP, False),
    pycurl.E_URL_MALFORMAT: (FetchState.BAD_URL, "not a URL", False),
    pycurl.E_COULDNT_RESOLVE_HOST: (FetchState.DNS_FAILURE, "the host has no address", True),
    pycurl.E_COULDNT_CONNECT: (FetchState.CONNECT_FAILURE, "no connection", True),
    pycurl.E_OPERATION_TIMEDOUT: (FetchState.TIMEOUT, "too slow", True),
    pycurl.E_PARTIAL_FILE: (FetchState.TRUNCATED, "the body ended early", True),
    pycurl.E_GOT_NOTHING: (FetchState.CONNECT_FAILURE, "the server sent nothing", True),
    pycurl.E_SEND_ERROR: (FetchState.CONNECT_FAILURE, _BROKEN, True),
    pycurl.E_RECV_ERROR: (FetchState.CONNECT_FAILURE, _BROKEN, True),
    _PROXY: (FetchState.CONNECT_FAILURE, "the proxy reached nobody", True),
    _TOO_LARGE: (FetchState.HEADER_TOO_LARGE, LONG_HEADER, False),
    pycurl.E_SSL_CONNECT_ERROR: (FetchState.TLS_FAILURE, _TLS, False),
    pycurl.E_PEER_FAILED_VERIFICATION: (
        FetchState.TLS_FAILURE,
        "the certificate is not to be trusted",
        False,
    ),
    pycurl.E_SSL_CIPHER: (FetchState.TLS_FAILURE, _TLS, False),
    pycurl.E_SSL_CERTPROBLEM: (FetchState.TLS_FAILURE, _TLS, False),
    pycurl.E_SSL_ISSUER_ERROR: (FetchState.TLS_FAILURE, _TLS, False),
}


def meaning_of(code: int) -> tuple[FetchState, str, bool]:
    """Return the state of a libcurl error, words for people, and whether it can heal."""
    unknown = (FetchState.CONNECT_FAILURE, f"libcurl error {code}", False)
    return _CURL_ERRORS.get(code, unknown)
