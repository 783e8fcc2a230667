"""Which certificates the client trusts, against a server whose certificate a test signs."""

import ssl
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from downloads import content, failure, fetch
from faulty_web import Reply, serve

from openalign.errors import InputError, StageError
from openalign.hostile_web.certificates import Certificate, Certificates
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.transfers import certificates
from openalign.ingest.web.transfers.certificates import Trust, trusted

HOST = "secure.example"
URL = f"https://{HOST}/x"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a certificate for the host, signed by itself, with its key."""
    file = tmp_path_factory.mktemp("certificate") / "own.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={HOST}"]
    command += [
        "-addext",
        f"subjectAltName=DNS:{HOST}",
        "-keyout",
        str(file),
        "-out",
        f"{file}.crt",
    ]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)


@contextmanager
def served(certificate: Path) -> Generator[WebConfig]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serve({"/x": Reply(body=b"secret")}, tls=context) as web:
        yield web.download(connect_to={HOST: web.address}, respect_robots=False, num_retries=0)


@pytest.fixture
def config(signed: Path) -> Iterator[WebConfig]:
    with served(signed) as running:
        yield running


def with_file(config: WebConfig, file: Path) -> WebConfig:
    return replace(config, ca_file=str(file))


def test_a_certificate_that_nobody_signed_is_not_trusted(config: WebConfig) -> None:
    assert failure(fetch(config, [URL])[URL]) == (
        "tls_failure",
        "the certificate is not to be trusted: it is signed by itself",
    )


@pytest.mark.parametrize(
    ("shown", "trusts_authority", "why"),
    [
        (Certificate.EXPIRED, True, "it has expired"),
        (Certificate.OTHER_HOST, True, "it is another host's"),
        (Certificate.SELF_SIGNED, True, "it is signed by itself"),
        (Certificate.GOOD, False, "its issuer is not known, or not sent"),
    ],
)
def test_why_a_certificate_is_not_trusted_is_told(
    shown: Certificate, why: str, tmp_path: Path, signed: Path, *, trusts_authority: bool
) -> None:
    made = Certificates([HOST])
    authority = tmp_path / "authority.pem"
    authority.write_bytes(made.pem if trusts_authority else signed.read_bytes())
    with serve({"/x": Reply(body=b"x")}, tls=made.server_context(lambda _: shown)) as web:
        config = web.download(connect_to={HOST: web.address}, respect_robots=False)
        outcome = fetch(with_file(config, authority), [URL])[URL]

    detail = f"the certificate is not to be trusted: {why}"
    assert failure(outcome) == ("tls_failure", detail)


def test_a_setting_names_what_is_trusted(config: WebConfig, signed: Path) -> None:
    assert content(fetch(with_file(config, signed), [URL])[URL]) == b"secret"


@pytest.mark.parametrize("variable", ["CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_names_what_is_trusted(
    config: WebConfig, signed: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(signed))

    assert content(fetch(config, [URL])[URL]) == b"secret"


def test_the_environment_may_name_a_folder(
    config: WebConfig, signed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named = ["openssl", "x509", "-hash", "-noout", "-in", str(signed)]
    name = subprocess.run(named, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / f"{name}.0").symlink_to(signed)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    assert content(fetch(config, [URL])[URL]) == b"secret"


def test_a_setting_comes_before_the_environment(signed: Path) -> None:
    environment = {"SSL_CERT_FILE": "/nowhere", "CURL_CA_BUNDLE": "/nowhere"}

    assert trusted(str(signed), environment) == Trust(file=str(signed))


def test_what_curl_is_told_comes_before_what_openssl_is_told(signed: Path) -> None:
    environment = {"CURL_CA_BUNDLE": str(signed), "SSL_CERT_FILE": "/a", "SSL_CERT_DIR": "/b"}

    assert trusted("", environment) == Trust(file=str(signed))


@pytest.mark.parametrize("name", ["web.ca_file", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "No such file or directory"), ("", "holds no certificates"), ("x", "holds no cert")],
    ids=["missing", "empty", "other"],
)
def test_a_file_without_certificates_is_named_at_the_start(
    tmp_path: Path, name: str, text: str | None, reason: str
) -> None:
    file = tmp_path / "trusted.pem"
    if text is not None:
        file.write_text(text)
    is_setting = name == "web.ca_file"

    with pytest.raises(InputError, match=f"{name}: {file}: {reason}"):
        trusted(str(file) if is_setting else "", {} if is_setting else {name: str(file)})


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("nowhere", id="missing"),
        pytest.param("n" * 300, id="of a name that is too long"),
    ],
)
def test_a_folder_without_certificates_is_named_at_the_start(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name

    with pytest.raises(InputError, match=f"SSL_CERT_DIR: {folder}: "):
        trusted("", {"SSL_CERT_DIR": str(folder)})


def test_of_several_folders_one_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "0123abcd.0").touch()
    both = f"{tmp_path / 'nowhere'}:{tmp_path}"

    assert trusted("", {"SSL_CERT_DIR": both}) == Trust(folder=both)


def test_a_machine_without_certificates_is_no_failure_of_a_host(
    config: WebConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(certificates, "_OF_SYSTEMS", ())
    missing = Trust(file=str(tmp_path / "gone.pem"))
    monkeypatch.setattr("openalign.ingest.web.transfers.connections.trusted", lambda *_: missing)

    with pytest.raises(StageError, match="there are no certificates here"):
        fetch(config, [URL])
