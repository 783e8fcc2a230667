"""Curves in Weights & Biases, by its own library, which writes files alone when it is offline."""

import importlib.util
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from openalign.errors import ConfigError
from openalign.files import storage
from openalign.files.leases import LeasePace, leased
from openalign.files.names import METRICS_FILE, WANDB_FOLDER, WANDB_ID
from openalign.train import wandb_run
from openalign.train.journal import LOSS, Journal
from openalign.train.monitoring import Wandb
from openalign.train.wandb_run import WandbRun, require_wandb
from openalign.train.work_folder import fetch_beside, local_folders, upload


def write_steps(folder: Path, *, first_step: int) -> None:
    """Be one start of a run, of two steps."""
    curves = WandbRun(Wandb(project="birds"), folder, config={"seed": 7})
    opened = Journal(folder, first_step=first_step, total_steps=4, wandb_run=curves)
    for step in (first_step, first_step + 1):
        opened.step(step, {LOSS: 0.5 + step})
    opened.close()


def test_a_start_that_goes_on_continues_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    write_steps(tmp_path, first_step=0)
    assert f"from wandb/ in {tmp_path}, or where that was moved since" in capsys.readouterr().err
    run_id = (tmp_path / WANDB_ID).read_text()
    write_steps(tmp_path, first_step=2)

    assert (tmp_path / WANDB_ID).read_text() == run_id
    written = sorted(tmp_path.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb"))
    first, second = (path.read_bytes() for path in written)
    assert all(word in first for word in (LOSS.encode(), b"birds", b"0.5", b"1.5"))
    assert all(word in second for word in (LOSS.encode(), b"birds", b"2.5", b"3.5"))


def test_another_machine_continues_the_run_and_the_store_gets_no_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first machine is away after its checkpoint, which took along what lies beside it."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    root = f"memory://{tmp_path.name}"
    url = f"{root}/train"
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "one"))
    one = local_folders(url, url)
    write_steps(one.result, first_step=0)
    for to, path in one.beside.items():
        if path.exists():
            storage.write_bytes(to, path.read_bytes())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "two"))
    two = local_folders(url, url)
    fetch_beside(two)
    write_steps(two.result, first_step=2)
    pace = LeasePace(expiry_seconds=1, beat_seconds=0.2, poll_seconds=0.01, settle_seconds=0)
    with leased(f"{root}/lease", url, on_loss=lambda: None, pace=pace) as fence:
        upload(two.result, url, fence=fence)

    run_id = (one.result / WANDB_ID).read_text()
    assert list(two.result.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb"))
    names = [name for name in storage.list_files(url) if not name.startswith("tensorboard/")]
    assert names == [METRICS_FILE, WANDB_ID]
    assert storage.read_bytes(f"{url}/{WANDB_ID}").decode() == run_id
    assert f"{two.result} can be removed once the stage is complete and its {WANDB_FOLDER}/" in (
        capsys.readouterr().err
    )


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


class Outage:
    """A stand-in for the library while its service is out: what is named in `fails` does so."""

    __spec__ = "that of an installed library"

    def __init__(self, *fails: str) -> None:
        self.fails = fails
        self.over = threading.Event()

    def Settings(self, **limits: float | str | bool) -> dict[str, float | str | bool]:  # noqa: N802
        """Be the library's class."""
        return limits

    def init(self, **options: Any) -> "Outage":
        """Begin a run."""
        assert options["settings"]["init_timeout"] == 30.0
        assert options["settings"]["finish_timeout"] == wandb_run.FINISH_SECONDS
        return self._answer("init")

    def define_metric(self, *_: str, **__: str) -> None:
        """Do nothing."""

    def log(self, _: dict[str, float]) -> None:
        """Take a point."""
        self._answer("log")

    def finish(self) -> None:
        """End the run."""
        if "hangs" in self.fails:
            self.over.wait()
        self._answer("finish")

    def _answer(self, what: str) -> "Outage":
        if what in self.fails:
            raise ConnectionError(f"no answer to {what}")
        return self


@pytest.mark.parametrize(
    ("fails", "told"),
    [
        ("init", "no answer to init"),
        ("log", "no answer to log"),
        ("finish", "no answer to finish"),
        ("hangs", "it takes too long to hand over what is left"),
    ],
)
def test_an_outage_of_the_service_costs_curves_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fails: str,
    told: str,
) -> None:
    out = Outage(fails)
    monkeypatch.setitem(sys.modules, "wandb", out)
    monkeypatch.setattr(wandb_run, "FINISH_SECONDS", 0.2)
    (tmp_path / WANDB_ID).write_text("ab12cd34")

    write_steps(tmp_path, first_step=0)
    out.over.set()

    assert len((tmp_path / METRICS_FILE).read_text().splitlines()) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "Weights" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"train     Weights & Biases lacks curves of this start: {told}. ")
    assert (tmp_path / WANDB_ID).read_text() == "ab12cd34"


def test_a_first_start_that_the_service_does_not_take_is_refused_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", Outage("init"))

    for _ in range(2):
        with pytest.raises(ConfigError, match="the run does not begin there: no answer to init"):
            WandbRun(Wandb(), tmp_path, config={})


def test_the_library_gives_up_a_service_that_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens on that port. The process is another one, as the library keeps its mode."""
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    (tmp_path / WANDB_ID).write_text("ab12cd34")
    code = (
        "import sys; from pathlib import Path; from openalign.train import monitoring, wandb_run; "
        "wandb_run.BEGIN_SECONDS = 2.0; "
        "run = wandb_run.WandbRun(monitoring.Wandb(), Path(sys.argv[1]), config={}); "
        "run.add(0, {'a': 1.0}); run.close(); print('trained')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "trained"
    assert "Weights & Biases lacks curves of this start: " in done.stderr
