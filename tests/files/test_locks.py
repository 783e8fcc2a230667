"""Locks between runs."""

import os
from pathlib import Path
from typing import Any

import pytest

from openalign.errors import StageError
from openalign.files.locks import locked


def test_a_lock_that_another_user_left_keeps_two_runs_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    opened = os.open

    def as_another_user(path: Any, flags: int, mode: int = 0o777) -> int:
        if Path(path) == lock and flags & os.O_RDWR:
            raise PermissionError(path)
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", as_another_user)

    with (
        locked(str(lock), busy="first"),
        pytest.raises(StageError, match="second"),
        locked(str(lock), busy="second"),
    ):
        pass
