"""The images cannot be built where there is no Docker engine; what can be read of them is."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from dockerfiles import DOCKERFILES, ROOT, pins, stages

EACH = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)


def test_there_is_an_image_for_the_worker_the_trainer_and_the_template() -> None:
    assert [path.parent.name for path in DOCKERFILES] == ["beam-worker", "dataflow", "trainer"]


@EACH
def test_hadolint_has_nothing_to_say(dockerfile: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run(
        [hadolint, "--no-color", dockerfile], check=False, capture_output=True, text=True
    )

    assert (done.stdout, done.returncode) == ("", 0)


@EACH
def test_every_base_is_pinned(dockerfile: Path) -> None:
    for stage in stages(dockerfile):
        tag = stage.base.rpartition("/")[2].partition(":")[2]
        assert tag not in ("", "latest"), stage.base
        assert "$" not in stage.base


@EACH
def test_what_runs_is_not_root(dockerfile: Path) -> None:
    assert stages(dockerfile)[-1].values("USER")[-1] == "1000"


@EACH
def test_nothing_is_fetched_but_by_pip_under_the_constraints(dockerfile: Path) -> None:
    lines = [line for stage in stages(dockerfile) for line in stage.values("RUN")]

    for install in [part for line in lines for part in line.split("&&") if " install" in part]:
        if "pip" in install:
            assert "--constraint constraints.txt" in install
        else:
            assert install.split()[:2] == ["install", "--directory"]
    assert not [line for line in lines if "curl" in line or "wget" in line or "apt" in line]
    assert not [stage for stage in stages(dockerfile) if stage.values("ADD")]


def test_the_worker_has_the_beam_of_the_constraints_and_one_python() -> None:
    base = f"apache/beam_python3.11_sdk:{pins()['apache-beam']}"

    assert [stage.base for stage in stages(ROOT / "docker/beam-worker/Dockerfile")] == [base, base]
    assert stages(ROOT / "docker/trainer/Dockerfile")[-1].base.startswith("python:3.11.")
    launcher = stages(ROOT / "docker/dataflow/Dockerfile")[0]
    assert "/python311-template-launcher-base:" in launcher.base


def test_beam_itself_names_the_image_that_the_worker_starts_from() -> None:
    from apache_beam.transforms import environments

    docker: Any = vars(environments)["DockerEnvironment"]
    ours = stages(ROOT / "docker/beam-worker/Dockerfile")[-1].base
    running = f"{sys.version_info.major}.{sys.version_info.minor}"

    assert docker.default_docker_image().replace(running, "3.11") == ours


def test_the_template_starts_from_the_worker_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    worker = f"openalign-beam-worker:{project['version']}"

    assert stages(ROOT / "docker/dataflow/Dockerfile")[-1].base == worker
    assert worker in (ROOT / "docker/spark/compose.yaml").read_text(encoding="utf-8")
    assert worker in (ROOT / "docker/README.md").read_text(encoding="utf-8")
