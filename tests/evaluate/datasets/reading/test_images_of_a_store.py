"""Images of data sets that lie in a store, read from a real server that fails now and then."""

from collections.abc import Generator
from pathlib import Path

import pytest
from range_server import RangeServer, range_server

from openalign.errors import InputError, StageError
from openalign.evaluate.datasets.images import ImageFile, ImagePlace
from openalign.evaluate.datasets.reading.slices import FileSlice
from openalign.files import remote_reads

CONTENT = bytes(range(200))
KINDS = ["a file of its own", "a stretch of a tar"]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[RangeServer]:
    monkeypatch.setattr(remote_reads.time, "sleep", lambda _: None)
    (tmp_path / "a.jpg").write_bytes(CONTENT[20:120])
    (tmp_path / "a.tar").write_bytes(CONTENT)
    with range_server(tmp_path) as served:
        yield served


def place_in(server: RangeServer, kind: str) -> ImagePlace:
    if kind == KINDS[0]:
        return ImageFile(server.url, "a.jpg")
    return FileSlice(f"{server.url}/a.tar", 20, 100)


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_fails_for_a_moment_ends_nothing(server: RangeServer, kind: str) -> None:
    server.failures_left = 4

    assert place_in(server, kind).read() == CONTENT[20:120]
    assert server.failures_left == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_keeps_failing_is_no_bad_image(server: RangeServer, kind: str) -> None:
    """Bad images can be left out; what a store does not send must not be."""
    server.failures_left = 5

    with pytest.raises(StageError, match=r"/a\.\w+: .* could not be read, 5 times in a row"):
        place_in(server, kind).read()


def test_an_image_that_is_not_there_is_asked_for_once(server: RangeServer) -> None:
    with pytest.raises(InputError, match=r"b\.jpg cannot be read: there is no such file"):
        ImageFile(server.url, "b.jpg").read()


def test_a_server_that_sends_whole_files_is_told(server: RangeServer) -> None:
    server.knows_ranges = False

    with pytest.raises(StageError, match=r"a\.tar cannot be read at random: its server sends more"):
        place_in(server, KINDS[1]).read()
