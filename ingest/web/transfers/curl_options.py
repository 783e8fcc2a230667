"""The options that all requests of a libcurl handle share."""

from importlib.metadata import version
from typing import Any

import pycurl

from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.rules.robots import AGENT
from openalign.ingest.web.transfers.certificates import Trust
from openalign.ingest.web.transfers.encodings import ACCEPTED

_BUFFER_BYTES = 128 * 1024

_SUPPRESS_CONNECT_HEADERS = 265
"""libcurl's option that keeps a proxy's own header away; pycurl has no name for it."""


def options_of(
    config: WebConfig, *, share: pycurl.CurlShare, agent: str, accept: str, trust: Trust
) -> dict[int, Any]:
    """Return the values of options, by libcurl's numbers."""
    options: dict[int, Any] = {
        pycurl.SHARE: share,
        pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
        pycurl.FOLLOWLOCATION: False,
        # Over loopback and TLS, HTTP/2 takes 0.9 of the CPU time for answers of 1 kB, 0.96 for
        # 30 kB and 1.35 for 300 kB; and where its one connection breaks, all transfers do.
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
        pycurl.NOSIGNAL: True,
        pycurl.PROXY: "",  # the environment's would hide the hosts' addresses
        _SUPPRESS_CONNECT_HEADERS: True,
        pycurl.ACCEPT_ENCODING: ACCEPTED,
        pycurl.HTTP_CONTENT_DECODING: False,  # libcurl refuses bodies of unknown encodings
        pycurl.USERAGENT: agent,
        pycurl.HTTPHEADER: [f"Accept: {accept}"],
        pycurl.BUFFERSIZE: _BUFFER_BYTES,
        pycurl.CONNECTTIMEOUT_MS: int(config.connect_seconds * 1000),
        pycurl.TIMEOUT_MS: int(config.total_seconds * 1000),
        pycurl.CONNECT_TO: [f"{host}::{to}" for host, to in config.connect_to.items()],
    }
    if trust.file:
        options |= {pycurl.CAINFO: trust.file, pycurl.PROXY_CAINFO: trust.file}
    if trust.folder:
        options |= {pycurl.CAPATH: trust.folder, pycurl.PROXY_CAPATH: trust.folder}
    return options


def user_agent(contact: str) -> str:
    """Return the User-Agent: the project, its version and a contact, where there is one."""
    name = f"{AGENT}/{version('openalign')}"
    return f"{name} (+{contact})" if contact else name
