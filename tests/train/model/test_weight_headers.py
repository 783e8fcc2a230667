import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from openalign.files import storage
from openalign.files.folder import opened
from openalign.train.model.weights import check_align

from align_folders import in_store, refusal, refused_unread  # isort: skip
from saved_align import save_align  # isort: skip


@pytest.mark.parametrize("shard_bytes", ["5GB", "200KB"])
@pytest.mark.parametrize("is_remote", [False, True])
def test_a_whole_model_passes_by_its_headers(
    shard_bytes: str, tmp_path: Path, *, is_remote: bool
) -> None:
    folder = tmp_path / "model"
    save_align(folder, shard_bytes=shard_bytes)

    with opened(in_store(folder) if is_remote else str(folder)) as files:
        check_align(files)

        assert {name for name in files.sha256 if name.endswith(".safetensors")} == set()


def rewritten_header(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Write a file of weights with another header before the same tensors."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    edit(header)
    new = json.dumps(header).encode()
    path.write_bytes(len(new).to_bytes(8, "little") + new + content[end:])


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda h: h["temperature"].update(data_offsets=[0, 0]), id="no bytes"),
        pytest.param(
            lambda h: h["temperature"].update(h["text_projection.bias"], shape=[80]), id="one place"
        ),
        pytest.param(lambda h: h["temperature"].update(data_offsets=[-5, -1]), id="before all"),
        pytest.param(lambda h: h.update(__metadata__=5), id="metadata"),
    ],
)
def test_a_header_that_the_library_refuses_is_refused_unread(
    edit: Callable[[dict[str, Any]], object], folder: Path
) -> None:
    rewritten_header(folder, edit)

    assert "model.safetensors is no file of weights: " in refusal(folder)
    assert refused_unread(str(folder)) == refusal(folder)


def test_a_header_in_a_header_in_a_header_is_refused_unread(folder: Path) -> None:
    deep = b"[" * 200_000
    (folder / "model.safetensors").write_bytes(len(deep).to_bytes(8, "little") + deep)

    assert refused_unread(str(folder)) == refusal(folder)


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_server_that_knows_no_ranges_has_whole_models_too(
    saved: Path, *, tells_length: bool
) -> None:
    with file_server(saved, tells_length=tells_length) as url, opened(url) as files:
        check_align(files)


def test_a_length_that_no_file_has_is_told_as_one_that_cannot_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "size_of", lambda _: 1 << 62)

    assert "model.safetensors cannot be read: OSError" in refused_unread(str(folder))


class _Files(SimpleHTTPRequestHandler):
    tells_length = True

    def send_header(self, keyword: str, value: str) -> None:
        if self.tells_length or keyword != "Content-Length" or "safetensors" not in self.path:
            super().send_header(keyword, value)

    def log_message(self, *_: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


@contextmanager
def file_server(folder: Path, *, tells_length: bool) -> Generator[str]:
    handler = type("_OfFolder", (_Files,), {"tells_length": tells_length})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
