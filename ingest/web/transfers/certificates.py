"""Which certificates are trusted: a setting's, the environment's, or the system's."""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openalign.errors import InputError

_OF_SYSTEMS = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Gentoo, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")
"""What OpenSSL looks for in a folder; `openssl rehash` makes such names."""

_HINT = "name a file of certificates (PEM) with `web.ca_file`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Certificates to trust; both are empty where this machine has none."""

    file: str = ""
    folder: str = ""


def trusted(ca_file: str, environment: Mapping[str, str] | None = None) -> Trust:
    """Return where the certificates are that `ca_file`, the environment or the system names.

    Raises:
        InputError: what `ca_file` or the environment names holds no certificate.
    """
    environment = os.environ if environment is None else environment
    if ca_file:
        return Trust(file=_file("web.ca_file", ca_file))
    for variable in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if named := environment.get(variable):
            return Trust(file=_file(variable, named))
    if named := environment.get("SSL_CERT_DIR"):
        return Trust(folder=_folder("SSL_CERT_DIR", named))
    found = next((path for path in _OF_SYSTEMS if Path(path).is_file()), "")
    return Trust(file=found or ssl.get_default_verify_paths().cafile or "")


def _file(name: str, path: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        reason = "holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise InputError(f"{name}: {path}: {reason}", hint=_HINT) from error
    return path


def _folder(name: str, path: str) -> str:
    parts = [Path(part) for part in path.split(":") if part]
    try:
        # OpenSSL passes over the others.
        there = [part for part in parts if part.exists()] or parts
        names = [entry.name for part in there for entry in part.iterdir()]
    except OSError as error:
        raise InputError(f"{name}: {path}: {error.strerror}", hint=_HINT) from error
    if not any(_HASHED.fullmatch(entry) for entry in names):
        raise InputError(
            f"{name}: {path}: holds no certificates under the names that OpenSSL looks for",
            hint=f"`openssl rehash` makes them, or {_HINT}",
        )
    return path
