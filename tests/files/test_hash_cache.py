import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from changed_files import overwrite, overwrite_and_set_back, replace

from openalign.errors import InputError
from openalign.files import hash_cache, storage
from openalign.files.hash_cache import hashes_of, missing_files


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a file for settled as soon as it is written."""
    monkeypatch.setattr(hash_cache, "_SETTLED_NS", -1)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the URLs of the files that are read, as they are read."""
    found: list[str] = []
    sha256_of = storage.sha256_of

    def noted(url: str) -> str:
        found.append(url)
        return sha256_of(url)

    monkeypatch.setattr(storage, "sha256_of", noted)
    return found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_in_the_background_hashes_and_cache_are_the_same_and_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"one")
    url, cache = str(tmp_path / "a"), str(tmp_path / "cache.json")
    pieces: list[None] = []
    monkeypatch.setattr(hash_cache, "progress_line", None)

    first, second = (
        hashes_of([url], cache=cache, moved=lambda: pieces.append(None)) for _ in range(2)
    )

    assert first == second == {url: sha256(b"one")}
    assert len(pieces) == 1


def test_every_file_that_is_there_has_its_hash(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "folder").mkdir()
    urls = [f"{tmp_path}/{name}" for name in ("b", "none", "folder", "a", "a/below", "b")]

    assert hashes_of(urls, cache=f"{tmp_path}/cache.json") == {
        f"{tmp_path}/b": sha256(b"two"),
        f"{tmp_path}/a": sha256(b"one"),
    }
    assert missing_files(urls) == [f"{tmp_path}/{name}" for name in ("none", "folder", "a/below")]


def test_more_files_than_wait_at_once_have_their_own_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_cache, "_AT_ONCE", 3)
    contents = {str(tmp_path / str(number)): str(number).encode() for number in range(8)}
    for url, content in contents.items():
        storage.write_bytes(url, content)

    found = hashes_of(contents, cache=str(tmp_path / "cache.json"))

    assert found == {url: sha256(content) for url, content in contents.items()}


@pytest.mark.parametrize(
    ("path", "named"),
    [
        pytest.param("caf\udce9.png", "/set holds a file whose name is not UTF-8: 'caf.udce9.png'"),
        pytest.param("\udcff/a.png", "/set holds a file whose name is not UTF-8: '.udcff'"),
    ],
    ids=["a file", "a folder"],
)
def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path, path: str, named: str) -> None:
    (tmp_path / "set" / path).parent.mkdir(parents=True)
    (tmp_path / "set" / path).touch()
    urls = [f"{tmp_path}/set/{path}"]

    with pytest.raises(InputError, match=named) as caught:
        hashes_of(urls, cache=f"{tmp_path}/cache")
    with pytest.raises(InputError, match=named):
        missing_files(urls)

    assert "convmv" in str(caught.value.hint)
    assert missing_files([f"{tmp_path}/set/caf\u00e9.png"]) == [f"{tmp_path}/set/caf\u00e9.png"]


def test_a_file_is_read_once_and_from_any_folder(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"one")
    monkeypatch.chdir(tmp_path)
    cache = str(tmp_path / "cache.json")

    first = hashes_of(["a"], cache=cache)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    second = hashes_of([f"file://{tmp_path}/a", "../a"], cache=cache)

    assert first == {"a": sha256(b"one")}
    assert second == {f"file://{tmp_path}/a": sha256(b"one"), "../a": sha256(b"one")}
    assert read == [f"{tmp_path}/a"]


@pytest.mark.parametrize("change", [overwrite, overwrite_and_set_back, replace])
def test_a_changed_file_is_read_again(tmp_path: Path, change: Any) -> None:
    file, cache = tmp_path / "a", str(tmp_path / "cache.json")
    file.write_bytes(b"one")
    hashes_of([str(file)], cache=cache)

    change(file)

    assert hashes_of([str(file)], cache=cache) == {str(file): sha256(b"two")}


def test_a_file_that_changed_behind_a_link_is_read_again(tmp_path: Path) -> None:
    file, cache = tmp_path / "link", str(tmp_path / "cache.json")
    (tmp_path / "target").write_bytes(b"one")
    file.symlink_to("target")
    assert hashes_of([str(file)], cache=cache) == {str(file): sha256(b"one")}

    (tmp_path / "target").write_bytes(b"two")

    assert hashes_of([str(file)], cache=cache) == {str(file): sha256(b"two")}


def test_a_file_that_changed_a_moment_ago_is_read_again(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_cache, "_SETTLED_NS", 3_600_000_000_000)
    (tmp_path / "a").write_bytes(b"one")

    for _ in range(2):
        hashes_of([f"{tmp_path}/a"], cache=f"{tmp_path}/cache.json")

    assert read == [f"{tmp_path}/a"] * 2


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"a": 1}', b"\xff"], ids=repr)
def test_a_cache_that_is_none_is_made_again(
    tmp_path: Path, read: list[str], content: bytes
) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "cache.json").write_bytes(content)

    for _ in range(2):
        found = hashes_of([f"{tmp_path}/a"], cache=f"{tmp_path}/cache.json")
        assert found == {f"{tmp_path}/a": sha256(b"one")}

    assert len(read) == 1


def test_without_a_cache_hashes_are_right(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")

    found = hashes_of([f"{tmp_path}/a"], cache=f"{tmp_path}/a/below/cache.json")

    assert found == {f"{tmp_path}/a": sha256(b"one")}


def test_what_was_read_before_an_interruption_is_not_read_again(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"{tmp_path}/{name}" for name in "ab"]
    for url in urls:
        Path(url).write_bytes(b"one")
    whole = storage.sha256_of

    def interrupted(url: str) -> str:
        if url.endswith("b"):
            raise KeyboardInterrupt
        return whole(url)

    monkeypatch.setattr(storage, "sha256_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hashes_of(urls, cache=f"{tmp_path}/cache.json")
    monkeypatch.setattr(storage, "sha256_of", whole)
    read.clear()

    hashes_of(urls, cache=f"{tmp_path}/cache.json")

    assert read == [urls[1]]


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"one")

    def refused(url: str) -> str:
        raise PermissionError(13, "Permission denied", url)

    monkeypatch.setattr(storage, "sha256_of", refused)

    with pytest.raises(InputError, match=f"{tmp_path}/a cannot be read: Permission denied"):
        hashes_of([f"{tmp_path}/a"], cache=f"{tmp_path}/cache.json")


def test_a_remote_folder_is_listed_once(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"memory://{tmp_path.name}/images"
    for name in "abc":
        storage.write_text(f"{root}/{name}", name)
    urls = [f"{root}/{name}" for name in ("a", "b", "none")]
    urls.append(f"memory://{tmp_path.name}/no-folder/a")
    listed: list[str] = []
    details = storage.list_details
    monkeypatch.setattr(
        storage, "list_details", lambda folder: listed.append(folder) or details(folder)
    )

    for _ in range(2):
        assert hashes_of(urls, cache=f"{tmp_path}/cache.json") == {
            f"{root}/a": sha256(b"a"),
            f"{root}/b": sha256(b"b"),
        }

    assert sorted(read) == urls[:2]
    assert listed.count(root) == 2
    storage.write_text(f"{root}/b", "d")
    assert hashes_of(urls[:2], cache=f"{tmp_path}/cache.json")[f"{root}/b"] == sha256(b"d")


def test_a_file_of_a_folder_that_cannot_be_listed_is_read_every_time(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a web server."""
    root = f"memory://{tmp_path.name}/server"
    storage.write_text(f"{root}/a", "a")

    def refused(_: str) -> Any:
        raise PermissionError

    monkeypatch.setattr(storage, "list_details", refused)

    for _ in range(2):
        found = hashes_of([f"{root}/a", f"{root}/b"], cache=f"{tmp_path}/cache.json")
        assert found == {f"{root}/a": sha256(b"a")}

    assert read == [f"{root}/a"] * 2


def test_the_hash_that_the_hub_publishes_is_taken(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub gives the sha256 of a large file, and the id of a small one."""
    listing = {
        "big": {"type": "file", "size": 3, "blob_id": "1", "lfs": {"sha256": sha256(b"big")}},
        "small": {"type": "file", "size": 5, "blob_id": "2", "lfs": None},
    }
    root = f"memory://{tmp_path.name}/hub"
    for name in listing:
        storage.write_text(f"{root}/{name}", name)
    monkeypatch.setattr(storage, "list_details", lambda _: listing)

    found = hashes_of([f"{root}/big", f"{root}/small"], cache=f"{tmp_path}/cache.json")

    assert found == {f"{root}/big": sha256(b"big"), f"{root}/small": sha256(b"small")}
    assert read == [f"{root}/small"]
    assert list(json.loads((tmp_path / "cache.json").read_text())) == [
        f"{root}/big",
        f"{root}/small",
    ]
