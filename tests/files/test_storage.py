import hashlib
import os
import zipfile
from pathlib import Path

import fsspec
import pytest
from fsspec import AbstractFileSystem

from openalign.errors import InputError, StageError
from openalign.files import storage


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"


def test_what_is_written_is_read_back_and_measured(folder: str) -> None:
    written = storage.write_bytes(f"{folder}/a/b.bin", b"abc")

    assert storage.read_bytes(f"{folder}/a/b.bin") == b"abc"
    assert written.num_bytes == 3
    assert written.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert storage.sha256_of(f"{folder}/a/b.bin") == written.sha256


def test_a_range_is_read_from_its_offset(folder: str) -> None:
    storage.write_bytes(f"{folder}/a.bin", b"0123456789")

    assert storage.read_range(f"{folder}/a.bin", 3, 4) == b"3456"
    assert storage.read_range(f"{folder}/a.bin", 8, 4) == b"89"
    with pytest.raises(InputError, match=r"b\.bin cannot be read: there is no such file"):
        storage.read_range(f"{folder}/b.bin", 3, 4)


def test_a_folder_is_told_from_a_file(folder: str) -> None:
    storage.write_bytes(f"{folder}/a/b.bin", b"1")

    assert storage.is_folder(f"{folder}/a")
    assert not storage.is_folder(f"{folder}/a/b.bin")
    assert not storage.is_folder(f"{folder}/c")


def test_a_block_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    storage.write_text(str(tmp_path / "a.txt"), "old")

    def write_half() -> None:
        with storage.local_target(str(tmp_path / "a.txt")) as target:
            Path(target.path).write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()

    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_files_are_listed_in_name_order_relative_to_the_folder(folder: str) -> None:
    for name in ("b/2.txt", "a.txt", "b/1.txt", "b/1.csv"):
        storage.write_text(f"{folder}/{name}", "")

    assert storage.list_files(folder, suffix=".txt") == ["a.txt", "b/1.txt", "b/2.txt"]
    assert storage.list_names(folder) == ["a.txt", "b"]
    assert storage.list_files(f"{folder}/none") == []


def test_a_pattern_names_its_files_in_order(tmp_path: Path) -> None:
    for name in ("2.csv", "1.csv", "1.tsv"):
        (tmp_path / name).touch()

    assert storage.list_glob(f"{tmp_path}/*.csv") == [f"{tmp_path}/1.csv", f"{tmp_path}/2.csv"]
    assert storage.list_glob(f"{tmp_path}/9.csv") == [f"{tmp_path}/9.csv"]


def test_a_folder_moves_with_all_it_holds(folder: str) -> None:
    storage.write_text(f"{folder}/old/a/b.txt", "1")
    storage.write_text(f"{folder}/old/last.json", "2")

    storage.move(f"{folder}/old", f"{folder}/new", last=("last.json",))

    assert storage.list_files(f"{folder}/new") == ["a/b.txt", "last.json"]
    assert storage.list_files(f"{folder}/old") == []


def test_a_local_copy_holds_the_bytes_of_a_remote_file() -> None:
    storage.write_bytes("memory://copy/a.bin", b"abc")

    with storage.local_copy("memory://copy/a.bin") as path:
        assert path.read_bytes() == b"abc"
    assert not path.exists()


def test_a_missing_file_is_an_input_error_that_names_it(folder: str) -> None:
    with pytest.raises(InputError, match=r"none\.txt cannot be read"):
        storage.read_bytes(f"{folder}/none.txt")


def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    (tmp_path / "b.csv").symlink_to("gone")
    (tmp_path / "c.csv").touch()

    reads = (storage.read_bytes, storage.open_read, lambda url: storage.read_range(url, 0, 1))
    for read in reads:
        with pytest.raises(InputError, match=r"a\.csv cannot be read: it is a pipe or a socket"):
            read(f"{tmp_path}/a.csv")
    ends = os.pipe()
    with pytest.raises(InputError, match="it is a pipe or a socket"):  # as a shell's `<(...)` is
        storage.read_bytes(f"/dev/fd/{ends[0]}")
    for end in ends:
        os.close(end)
    assert storage.list_folder(str(tmp_path)) == ([], ["b.csv", "c.csv"])


def test_a_folder_that_cannot_be_written_is_a_stage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StageError, match="cannot be written"):
        storage.check_writable(str(tmp_path / "file" / "run"))


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    storage.check_writable(str(tmp_path))

    assert list(tmp_path.iterdir()) == []


def test_a_url_without_a_driver_is_an_error_with_a_hint() -> None:
    with pytest.raises(InputError, match=r"nosuch://a/b\.txt cannot be reached") as caught:
        storage.read_bytes("nosuch://a/b.txt")

    assert "pip install s3fs" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["std::vector.png", "d::x/a.png", "s3::a", "a::b::c", "::"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_two_colons_in_a_name_are_no_chain(tmp_path: Path, scheme: str, name: str) -> None:
    folder = f"{scheme}{tmp_path}"

    storage.write_bytes(storage.join(folder, name), b"here")

    assert (tmp_path / name).read_bytes() == b"here"
    assert storage.is_local(storage.join(folder, name))
    assert storage.read_bytes(storage.join(folder, name)) == b"here"
    assert storage.list_files(folder) == [name]


def test_two_colons_in_a_relative_path_are_no_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m::odel").write_bytes(b"here")

    assert storage.read_bytes("m::odel") == b"here"
    assert storage.absolute("m::odel") == f"{tmp_path}/m::odel"


def test_urls_of_other_machines_are_chained(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "file.zip", "w") as archive:
        archive.writestr("x", b"zipped")
    storage.write_bytes("memory://chained/a", b"remote")

    assert storage.read_bytes(f"zip://x::{tmp_path}/file.zip") == b"zipped"
    assert storage.read_bytes("simplecache::memory://chained/a") == b"remote"


def test_a_relative_path_can_be_made_to_mean_the_same_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert storage.absolute("runs/demo") == f"{tmp_path}/runs/demo"
    assert storage.absolute("memory://run") == "memory://run"


class _OutOfReach(AbstractFileSystem):
    """A cloud's file system that refuses, as drivers do: with an error of its own."""

    protocol = "outofreach"

    def exists(self, path: str, **kwargs: object) -> bool:
        del path, kwargs
        raise RuntimeError("403 Forbidden\nthe whole answer of the server")


def test_a_root_that_cannot_be_reached_is_named() -> None:
    fsspec.register_implementation("outofreach", _OutOfReach, clobber=True)

    with pytest.raises(InputError) as caught:
        storage.check_reachable("outofreach://bucket/run")

    assert str(caught.value) == "outofreach://bucket/run cannot be reached: 403 Forbidden"
    assert "credentials" in str(caught.value.hint)
    storage.check_reachable("memory://run")
    storage.check_reachable("/nowhere/at/all")


def test_a_folder_is_listed_as_folders_and_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "z.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    store = fsspec.filesystem("memory")
    store.pipe({"/listed/b/x": b"1", "/listed/a/y": b"2", "/listed/z.txt": b"3"})

    assert storage.list_folder(str(tmp_path)) == (["a", "b", "link"], ["broken", "z.txt"])
    assert storage.list_folder("memory://listed") == (["a", "b"], ["z.txt"])


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_folder_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match=f"{name} cannot be listed: there is no such folder"):
        storage.list_folder(str(tmp_path / name))
