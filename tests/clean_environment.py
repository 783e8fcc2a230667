"""An environment as a worker has it: the wheel of this repository and one extra, nothing else."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
_OF_THE_WHEEL = (
    *("pyproject.toml", "README.md", "LICENSE", "pipelines.yaml"),
    *("openalign", "ingest", "filtering", "train", "evaluate"),
)
_UV = shutil.which("uv")


def make(folder: Path, *, extra: str) -> Path:
    """Make the environment in `folder`, with the versions of constraints.txt; return its Python.

    With uv where it is present, else with venv and pip; skips where there is neither.
    """
    if _UV is None and importlib.util.find_spec("ensurepip") is None:
        pytest.skip("there is no uv, and this Python cannot make environments")
    python = folder / "venv" / "bin" / "python"
    if _UV is None:
        _run(sys.executable, "-m", "venv", str(folder / "venv"))
        install = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    else:
        _run(_UV, "venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
        install = (_UV, "pip", "install", "--quiet", "--python", str(python))
    wheel = build_wheel(folder / "wheel")
    _run(*install, "-c", str(REPOSITORY / "constraints.txt"), f"{wheel}[{extra}]")
    return python


def build_wheel(folder: Path) -> Path:
    """Build this repository's wheel from a copy, as a build leaves things behind, and offline."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in _OF_THE_WHEEL:
        if (REPOSITORY / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / name, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(REPOSITORY / name, source)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    _run(sys.executable, "-c", build, str(folder), at=source)
    [wheel] = folder.glob("*.whl")
    return wheel


def environment(python: Path) -> dict[str, str]:
    """Return the variables for a process that must find nothing but the environment of `python`."""
    kept = {key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR") if key in os.environ}
    return kept | {"PATH": f"{python.parent}:/usr/bin:/bin", "PYTHONSAFEPATH": "1"}


def _run(*command: str, at: Path = REPOSITORY) -> None:
    seen = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=at, env=seen, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
