import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import loopback_hub
import msgspec
import pytest
from changed_files import overwrite, overwrite_and_set_back, replace
from local_ports import free_port

from openalign.errors import InputError
from openalign.files import folder as folders
from openalign.files import storage
from openalign.files.folder import Folder, opened

REFUSAL = """
from openalign.errors import InputError
from openalign.files.folder import opened
try:
    with opened({url!r}):
        pass
except InputError as error:
    print(error, error.hint, sep="|")
"""


class Sizes(msgspec.Struct):
    side: int
    share: float = 0.5


@pytest.fixture(params=["local", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"


def write(url: str, **files: bytes) -> None:
    for name, content in files.items():
        storage.write_bytes(f"{url}/{name}", content)


def test_files_are_read_by_name_and_what_was_read_is_hashed(url: str) -> None:
    write(url, a=b"first", b=b"second")
    storage.write_bytes(f"{url}/below/c", b"third")

    with opened(url) as folder:
        assert folder.names >= {"a", "b"}
        assert "c" not in folder.names
        assert folder.read("b") == b"second"
        assert folder.path("b").read_bytes() == b"second"

        assert folder.sha256 == {"b": hashlib.sha256(b"second").hexdigest()}


def test_a_remote_file_is_fetched_when_asked_for_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://{tmp_path.name}"
    write(url, small=b"{}", large=b"0" * 100)
    fetched: list[str] = []
    memory = type(fsspec.filesystem("memory"))
    get_file = memory.get_file

    def counted(self: Any, source: str, *args: Any, **options: Any) -> None:
        fetched.append(source.rpartition("/")[2])
        get_file(self, source, *args, **options)

    monkeypatch.setattr(memory, "get_file", counted)

    with opened(url) as folder:
        assert folder.read("small") == folder.read("small") == b"{}"
        copy = folder.path("small")

    assert fetched == ["small"]
    assert not copy.exists()


def test_the_local_folder_itself_is_read(tmp_path: Path) -> None:
    write(str(tmp_path), a=b"first")

    with opened(str(tmp_path)) as folder:
        assert folder.path("a") == tmp_path / "a"
    assert (tmp_path / "a").exists()


@pytest.mark.parametrize("change", [overwrite, overwrite_and_set_back, replace, Path.unlink])
def test_a_file_that_is_changed_after_it_was_hashed_is_named(
    change: Callable[[Path], object], tmp_path: Path
) -> None:
    """What is loaded would not be what an identity says: a training may write there."""
    write(str(tmp_path), a=b"one", b=b"other")
    wait_for_another_stamp(tmp_path)

    with pytest.raises(InputError, match="a was changed while it was read"):
        read_and_then(tmp_path, "a", change)

    read_and_then(tmp_path, "b", lambda _: (tmp_path / "a").write_bytes(b"three"))  # not the one


def read_and_then(folder: Path, name: str, change: Callable[[Path], object]) -> None:
    with opened(str(folder)) as files:
        files.read(name)
        change(folder / name)


def wait_for_another_stamp(folder: Path) -> None:
    """Wait until the file system's clock has gone on: its ticks are some milliseconds long."""
    probe = folder / "probe"
    probe.touch()
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        probe.touch()
    probe.unlink()


def test_a_record_takes_no_value_of_another_type(url: str) -> None:
    write(
        url,
        good=b'{"side": 4, "share": 1, "other": null}',
        text=b'{"side": "4"}',
        flag=b'{"side": true}',
        absent=b"{}",
        listed=b"[]",
        broken=b'{"side": ',
        latin=b'{"side": "\xe9"}',
        bomb=b"[" * 100_000,
    )

    def message(folder: Folder, name: str) -> str:
        with pytest.raises(InputError) as caught:
            folder.read_json(name, Sizes, hint="mend it")
        assert caught.value.hint == ("mend it" if "is not JSON" not in str(caught.value) else None)
        return str(caught.value)

    with opened(url) as folder:
        assert folder.read_json("good", Sizes) == Sizes(side=4, share=1.0)
        assert message(folder, "text") == f"{url}/text: Expected `int`, got `str` - at `$.side`"
        assert "Expected `int`, got `bool` - at `$.side`" in message(folder, "flag")
        assert "missing required field `side`" in message(folder, "absent")
        assert "Expected `object`, got `array`" in message(folder, "listed")
        for name in ("broken", "latin", "bomb"):
            assert f"{url}/{name} is not JSON: " in message(folder, name)


def test_a_file_that_is_too_long_to_be_settings_is_not_read(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MAX_SMALL_FILE_BYTES", 1000)
    write(url, just=b"1" * 1000, over=b"1" * 1001)

    with opened(url) as folder:
        assert len(folder.read("just")) == 1000
        with pytest.raises(InputError, match=r"/over has 1,001 bytes, at most 1,000 are read"):
            folder.read("over")


def test_what_cannot_be_read_is_named(url: str, tmp_path: Path) -> None:
    write(url, a=b"first")
    storage.write_bytes(f"{url}/below/c", b"third")

    with opened(url) as folder:
        with pytest.raises(InputError, match=r"/b cannot be read: there is no such file"):
            folder.read("b")
        with pytest.raises(InputError, match=r"/below cannot be read: "):
            folder.read("below")
    with pytest.raises(InputError, match=r"/none cannot be read: there is no such file or folder"):
        opened(f"{url}/none").__enter__()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, a folder is needed"):
        opened(str(tmp_path / "file")).__enter__()


def test_a_hub_that_lacks_the_repository_is_named_with_what_to_look_at(tmp_path: Path) -> None:
    code = REFUSAL.format(url="hf://owner/other")

    with loopback_hub.serving(tmp_path, tmp_path / "home") as hub:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            text=True,
            env=hub.environment,
        )

    message, _, hint = done.stdout.partition("|")
    assert message == "hf://owner/other cannot be read: there is no such file or folder", done
    assert "hf://OWNER/NAME" in hint
    assert "hf auth login" in hint


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:{port}", "http://hub.invalid"])
def test_a_hub_that_does_not_answer_is_named_at_once(endpoint: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint.format(port=free_port()),
        "HF_HOME": str(tmp_path),
    }

    done = subprocess.run(
        [sys.executable, "-c", REFUSAL.format(url="hf://owner/model")],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        timeout=100,  # it takes a second; a library that retries takes minutes
    )

    message, _, hint = done.stdout.partition("|")
    assert message.startswith("hf://owner/model cannot be read: ConnectError: "), done
    assert "HF_ENDPOINT" in hint
