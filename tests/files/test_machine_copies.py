"""Copies of remote files on this machine (`files.machine_copies`)."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from openalign.files import machine_copies, storage
from openalign.files.machine_copies import WrittenFile, path_here


def remote(name: str, content: bytes) -> WrittenFile:
    url = f"memory://machine-copies/{name}"
    storage.write_bytes(url, content)
    digest = hashlib.sha256(content).hexdigest()
    return WrittenFile(url=url, num_bytes=len(content), sha256=digest)


def test_a_copy_that_is_used_again_counts_as_new(tmp_path: Path) -> None:
    old = remote("old", b"old")
    path = path_here(old, stage="select", folder=tmp_path)
    week_ago = time.time() - 7 * 24 * 3600 - 600
    os.utime(path, (week_ago, week_ago))

    path_here(old, stage="select", folder=tmp_path)
    path_here(remote("other", b"other"), stage="select", folder=tmp_path)

    assert path.read_bytes() == b"old"


def test_a_copy_that_another_process_removes_at_this_moment_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = remote("gone", b"gone")
    path_here(file, stage="select", folder=tmp_path)
    utime = os.utime

    def removed_before(target: Path, *times: Any) -> None:
        target.unlink()
        utime(target, *times)

    monkeypatch.setattr(machine_copies.os, "utime", removed_before)

    assert path_here(file, stage="select", folder=tmp_path).read_bytes() == b"gone"
