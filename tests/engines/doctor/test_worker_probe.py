"""Real worker pools, asked what they are made of."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_ports import free_port, listens
from patience import wait_for

from openalign import cli
from openalign.engines.doctor.check import Check
from openalign.engines.doctor.preflight import checks


def found(flags: list[str], root: str) -> dict[str, Check]:
    return {check.subject: check for check in checks(flags, root)}


def packages_here(folder: Path, change: Callable[[Path], None]) -> Path:
    """Return a folder with links to the packages of this environment, changed."""
    packages = folder / "packages"
    packages.mkdir()
    import apache_beam

    for entry in Path(apache_beam.__file__).parents[1].iterdir():
        (packages / entry.name).symlink_to(entry)
    (packages / "openalign").symlink_to(Path(cli.__file__).parent)
    change(packages)
    return packages


@contextmanager
def pool(folder: Path, packages: Path, *, prefix: tuple[str, ...] = ()) -> Generator[str]:
    """Start a worker pool that sees only these packages; yield its address."""
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    port = free_port()
    module = "apache_beam.runners.worker.worker_pool_main"
    with subprocess.Popen(
        [*prefix, str(folder / "bin" / "python"), "-m", module, f"--service_port={port}"],
        cwd=folder,
        env={
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(folder),
            "PYTHONPATH": str(packages),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            wait_for(lambda: listens(port), "the pool's start")
            yield f"localhost:{port}"
        finally:
            os.killpg(process.pid, 9)


def without_openalign(packages: Path) -> None:
    for entry in packages.iterdir():
        if "openalign" in entry.name:
            entry.unlink()


def with_another_beam(packages: Path) -> None:
    """Give Beam's metadata another version: what it says of itself is what is compared."""
    [link] = packages.glob("apache_beam-*.dist-info")
    copied = packages / "apache_beam-2.60.0.dist-info"
    shutil.copytree(link.resolve(), copied)
    link.unlink()
    metadata = (copied / "METADATA").read_text().splitlines()
    lines = ["Version: 2.60.0" if x.startswith("Version:") else x for x in metadata]
    (copied / "METADATA").write_text("\n".join(lines))


def through(address: str) -> list[str]:
    return [
        "--runner=SparkRunner",
        "--environment_type=EXTERNAL",
        f"--environment_config={address}",
    ]


@pytest.mark.distributed
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(lambda _: None, "", id="as here"),
        pytest.param(without_openalign, "the workers lack openalign", id="no openalign"),
        pytest.param(with_another_beam, "the workers have apache-beam 2.60.0", id="another Beam"),
    ],
)
def test_a_worker_says_what_it_is_made_of(
    tmp_path: Path, change: Callable[[Path], None], problem: str
) -> None:
    root = tmp_path / "run"
    with pool(tmp_path, packages_here(tmp_path, change)) as address:
        check = found(through(address), str(root))["workers"]

    assert check.problem[: len(problem)] == problem
    assert bool(check.problem) == bool(problem)
    assert list(root.iterdir()) == []


@pytest.mark.distributed
def test_a_worker_that_does_not_see_the_root_is_found_before_anything_is_written(
    tmp_path: Path,
) -> None:
    root = tmp_path / "run"
    root.mkdir()
    private = ("unshare", "--map-root-user", "--mount", "sh", "-c")
    script = f'mount -t tmpfs none {root} && exec "$0" "$@"'
    if subprocess.run([*private, script, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a process have mounts of its own")
    packages = packages_here(tmp_path, lambda _: None)
    with pool(tmp_path, packages, prefix=(*private, script)) as address:
        check = found(through(address), str(root))["workers"]

    assert check.problem == f"the workers of {address} do not see the root {root}"
    assert list(root.iterdir()) == []
