"""`openalign hostile-web`."""

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import polars as pl
import pytest
from local_ports import free_port
from patience import PATIENCE_SECONDS

from openalign import cli
from openalign.run.config import load_pipeline


def test_what_is_printed_is_a_pipeline_that_reaches_the_server(tmp_path: Path) -> None:
    table = tmp_path / "addresses.parquet"
    words = ["-m", "openalign", "hostile-web", "--candidates", str(table), "--per-case", "2"]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        lines = []
        while not lines or not lines[-1].startswith("    max_bytes:"):
            lines.append(server.stdout.readline())
            assert lines[-1], "the server ended"
        (tmp_path / "p.yaml").write_text("".join(lines))
        config = load_pipeline(str(tmp_path / "p.yaml"), "hostile")
        address = config.fetch.web.connect_to["status-404.hostile.example"]
        asked = urllib.request.Request(
            f"http://{address}/0.jpg", headers={"Host": "good-png.hostile.example"}
        )
        with urllib.request.urlopen(asked) as answer:
            assert answer.read(4) == b"\x89PNG"
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE_SECONDS) == 130

    assert config.fetch.web.first_byte_seconds == 5.0
    assert config.fetch.web.dns.servers[0].startswith("127.0.0.1:")
    assert Path(config.fetch.web.ca_file).read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
    states = dict(pl.read_parquet(table).select("url", "state").iter_rows())
    assert states["http://status-404.hostile.example/1.jpg"] == "http_gone"
    assert states["http://beside-status-404.hostile.example/1.jpg"] == "fetched"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--candidates", "x.csv"], "x.csv must end in .parquet", id="csv"),
        pytest.param(["--per-case", "0"], "--per-case must be above 0, got 0", id="none"),
        pytest.param(["--port", "99999"], "the hostile web cannot be served", id="no port"),
        pytest.param(["--port", "6000"], "--port 6000 belongs to another", id="a bad port"),
        pytest.param(["--", "--x=1"], "`-- --x=1` has no meaning here", id="Beam's options"),
    ],
)
def test_arguments_that_cannot_be_are_named(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    assert cli.main(["hostile-web", *words]) == 2

    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        assert cli.main(["hostile-web", "--port", str(taken.getsockname()[1])]) == 2

    assert "Address already in use" in capsys.readouterr().err
