"""The install steps of the images, run from their Dockerfiles in an environment of their own."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import pytest
from dockerfiles import ROOT, pins, stages
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

needs_ensurepip = pytest.mark.skipif(
    importlib.util.find_spec("ensurepip") is None, reason="this Python cannot make environments"
)


def _context(folder: Path) -> Path:
    """Copy what `.dockerignore` lets through."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "*"
    for name in (line[1:] for line in lines if line.startswith("!")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, target, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, target)
    return folder


def _replay(
    image: str,
    folder: Path,
    before_check: Callable[[Path, set[str]], None] = lambda *_: None,
    **more: str,
) -> Path:
    """Run the steps of the build stage, each path of the image in `folder`; return its venv."""
    build = stages(ROOT / "docker" / image / "Dockerfile")[0]
    assert build.values("WORKDIR") == ["/build"]
    assert build.values("COPY") == [". ."]
    context = _context(folder / "build")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    venv = folder / "venv"
    for step in build.values("RUN"):
        if step.endswith("pip check"):
            before_check(venv, set(build.arguments["EXTRAS"].split(",")))
        for path, here in (("/opt/openalign", venv), ("/wheels", folder / "wheels")):
            step = step.replace(path, str(here))  # noqa: PLW2901
        done = subprocess.run(
            ["sh", "-ec", step],
            check=False,
            cwd=context,
            env=environment | more,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
    return venv


def _python(venv: Path, code: str) -> list[str]:
    """Run code with nothing but the environment on the path, not even a compiler."""
    done = subprocess.run(
        [venv / "bin/python", "-c", code],
        check=False,
        cwd=venv,
        env={"PATH": f"{venv}/bin", "HOME": str(venv), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_ensurepip
@pytest.mark.slow
def test_the_workers_steps_install_the_four_data_jobs_and_no_torch(tmp_path: Path) -> None:
    venv = _replay("beam-worker", tmp_path)

    *files, torch = _python(
        venv,
        "from importlib.util import find_spec\n"
        "from openalign.ingest import harvest, fetch\n"
        "from openalign.filtering import text_filter, selection\n"
        "import apache_beam.runners.worker.worker_pool_main\n"
        "print(harvest.__file__, text_filter.__file__, fetch.__file__, selection.__file__)\n"
        "print(find_spec('torch'))",
    )

    assert len(files) == 4
    assert all(Path(file).is_relative_to(venv) for file in files)
    assert torch == "None"
    installed = {(canonicalize_name(found.name), found.version) for found in _in(venv)}
    others = {name for name, _ in installed - set(pins().items())}
    assert others == {"pip", "openalign"}


@needs_ensurepip
@pytest.mark.slow
def test_the_trainers_steps_install_training_and_evaluation_and_no_source(
    tmp_path: Path,
) -> None:
    """Several GB of wheels are not fetched again: packages are linked from this environment.

    Training counts words by a Beam job. What reads the web is not there.

    Only those that the wheel's two extras ask for; pip's own check then sees that none is missing
    and none is of another version than asked for.
    """
    venv = _replay("trainer", tmp_path, _link_dependencies, PIP_NO_DEPS="1")

    *_, loop, web, version = _python(
        venv,
        "from importlib.util import find_spec\n"
        "import deepspeed, tensorboard\n"
        "import openalign.train.loop, openalign.train.launch, openalign.evaluate.report.page\n"
        "import openalign.train.vocabulary_job\n"
        "print(openalign.train.loop.__file__, find_spec('pycares'), flush=True)\n"
        "import sys, openalign.cli\n"
        "sys.argv = ['openalign', '--version']; openalign.cli.entry()",
    )

    assert Path(loop).is_relative_to(venv)
    assert web == "None"
    assert version == distribution("openalign").version


def _in(venv: Path) -> Iterator[Distribution]:
    (site,) = venv.glob("lib/python3.*/site-packages")
    return iter(distributions(path=[str(site)]))


def _link_dependencies(venv: Path, extras: set[str]) -> None:
    """Link what the installed wheel needs with these extras."""
    (site,) = venv.glob("lib/python3.*/site-packages")
    wheel = next(found for found in _in(venv) if found.name == "openalign")
    needed = _closure(wheel, extras)
    del needed["setuptools"]  # the steps themselves installed it
    folders = {name: _folders(found) for name, found in needed.items()}
    owners = Counter(top for found in folders.values() for top in {path[0] for path in found})
    for name, found in needed.items():
        assert found.version == pins()[name], f"{name} is not the constraints'"
        for path in folders[name]:
            # Packages that share a folder, as NVIDIA's do, share it there too.
            entry = site.joinpath(*path[: 1 if owners[path[0]] == 1 else 2])
            if not entry.exists():
                entry.parent.mkdir(exist_ok=True)
                entry.symlink_to(str(found.locate_file(str(entry.relative_to(site)))))


def _folders(found: Distribution) -> set[tuple[str, ...]]:
    """Return what a package installed into site-packages, down to the second level."""
    record = found.read_text("RECORD")
    assert record is not None
    paths = {tuple(line.partition(",")[0].split("/")[:2]) for line in record.splitlines()}
    return {path for path in paths if path[0] not in ("..", "__pycache__")}


def _closure(wheel: Distribution, extras: set[str]) -> dict[str, Distribution]:
    """Return every package that a wheel with these extras needs, from this environment."""
    found: dict[str, Distribution] = {}
    pending = [(wheel, extras)]
    seen: set[tuple[str, str]] = set()
    while pending:
        needing, wanted = pending.pop()
        for line in needing.requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker and not any(marker.evaluate({"extra": extra}) for extra in ("", *wanted)):
                continue
            name = canonicalize_name(requirement.name)
            found[name] = distribution(name)
            for extra in {"", *requirement.extras} - {e for n, e in seen if n == name}:
                seen.add((name, extra))
                pending.append((found[name], requirement.extras))
    return found
