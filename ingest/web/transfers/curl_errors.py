"""What libcurl's errors mean: the state, words for people, and whether another attempt may help.

The words contain no time and no port, because they become part of the ledger.
"""

import pycurl

from openalign.files.states import FetchState

NOT_HTTP = "the answer is not HTTP"
LONG_HEADER = "its header is too long"
BROKEN_HEADER = "its header is broken"
CUT_HEADER = "the header ended early"
_TLS = "TLS could not be set up"
_NOT_TRUSTED = "the certificate is not to be trusted"
_BROKEN = "the connection broke"
# libcurl's numbers that pycurl has no names for.
_PROXY = 97
_TOO_LARGE = 100  # a line of a header

CLOSED_BEFORE = pycurl.E_SEND_ERROR
"""How a request ends on connections that the server had closed: libcurl asks again on another, and
gives up behind five more that were closed as well."""

_CURL_ERRORS: dict[int, tuple[FetchState, str, bool]] = {
    # Addresses are http URLs, so the answer is in another protocol.
    pycurl.E_UNSUPPORTED_PROTOCOL: (FetchState.CONNECT_FAILURE, NOT_HTTP, False),
    pycurl.E_FTP_WEIRD_SERVER_REPLY: (FetchState.CONNECT_FAILURE, NOT_HTTP, False),
    pycurl.E_URL_MALFORMAT: (FetchState.BAD_URL, "not a URL", False),
    pycurl.E_COULDNT_RESOLVE_HOST: (FetchState.DNS_FAILURE, "the host has no address", True),
    pycurl.E_COULDNT_CONNECT: (FetchState.CONNECT_FAILURE, "no connection", True),
    pycurl.E_OPERATION_TIMEDOUT: (FetchState.TIMEOUT, "too slow", True),
    # Of Transfer-Encoding: those of Content-Encoding are not libcurl's here.
    pycurl.E_BAD_CONTENT_ENCODING: (
        FetchState.CONNECT_FAILURE,
        "its transfer encoding is not known",
        False,
    ),
    pycurl.E_PARTIAL_FILE: (FetchState.TRUNCATED, "the body ended early", True),
    pycurl.E_GOT_NOTHING: (FetchState.CONNECT_FAILURE, "the server sent nothing", True),
    pycurl.E_SEND_ERROR: (FetchState.CONNECT_FAILURE, _BROKEN, True),
    pycurl.E_RECV_ERROR: (FetchState.CONNECT_FAILURE, _BROKEN, True),
    _PROXY: (FetchState.CONNECT_FAILURE, "the proxy reached nobody", True),
    _TOO_LARGE: (FetchState.HEADER_TOO_LARGE, LONG_HEADER, False),
    pycurl.E_SSL_CONNECT_ERROR: (FetchState.TLS_FAILURE, _TLS, False),
    pycurl.E_PEER_FAILED_VERIFICATION: (FetchState.TLS_FAILURE, _NOT_TRUSTED, False),
    pycurl.E_SSL_CIPHER: (FetchState.TLS_FAILURE, _TLS, False),
    pycurl.E_SSL_CERTPROBLEM: (FetchState.TLS_FAILURE, _TLS, False),
    pycurl.E_SSL_ISSUER_ERROR: (FetchState.TLS_FAILURE, _TLS, False),
}

_VERDICTS = {
    1: "it is another host's",  # OpenSSL found no fault, so libcurl found it in the name
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is signed by itself",
    19: "its root is not trusted",
    20: "its issuer is not known, or not sent",
    21: "its issuer is not known, or not sent",
}


def meaning_of(code: int) -> tuple[FetchState, str, bool]:
    """Return the state of a libcurl error, words for people, and whether it can heal."""
    unknown = (FetchState.CONNECT_FAILURE, f"libcurl error {code}", False)
    return _CURL_ERRORS.get(code, unknown)


def distrust_of(verdict: int) -> str:
    """Return why a certificate is not trusted, from OpenSSL's verdict (`X509_V_ERR_...`)."""
    why = _VERDICTS.get(verdict)
    return f"{_NOT_TRUSTED}: {why}" if why else _NOT_TRUSTED
