"""Curves in Weights & Biases, by its own library, which writes files alone when it is offline."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from openalign.errors import ConfigError
from openalign.files.names import WANDB_ID
from openalign.train.journal import LOSS, Journal
from openalign.train.wandb_run import WandbRun, require_wandb
from openalign.train.watching import Wandb


def write_steps(folder: Path, *, first_step: int) -> None:
    """Be one start of a run, of two steps."""
    curves = WandbRun(Wandb(project="birds"), folder, config={"seed": 7})
    opened = Journal(folder, first_step=first_step, total_steps=4, wandb_run=curves)
    for step in (first_step, first_step + 1):
        opened.step(step, {LOSS: 0.5 + step})
    opened.close()


def test_a_start_that_goes_on_continues_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    write_steps(tmp_path, first_step=0)
    run_id = (tmp_path / WANDB_ID).read_text()
    write_steps(tmp_path, first_step=2)

    assert (tmp_path / WANDB_ID).read_text() == run_id
    written = sorted(tmp_path.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb"))
    first, second = (path.read_bytes() for path in written)
    assert all(word in first for word in (LOSS.encode(), b"birds", b"0.5", b"1.5"))
    assert all(word in second for word in (LOSS.encode(), b"birds", b"2.5", b"3.5"))


def test_a_missing_library_is_told_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    require_wandb(None)
    with pytest.raises(ConfigError, match=r"`train\.wandb` is set.* is not installed") as caught:
        require_wandb(Wandb())

    assert caught.value.hint == "pip install 'openalign[wandb]'"


def test_the_library_is_not_imported_without_the_setting() -> None:
    code = (
        "import openalign.train.loop, sys; from openalign.train.journal import Journal; "
        "from pathlib import Path; import tempfile; "
        "Journal(Path(tempfile.mkdtemp()), first_step=0, total_steps=1).close(); "
        "print('wandb' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "False"
