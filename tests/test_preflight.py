"""What is checked before a job goes to a cluster: real pools and jars, an HTTP server as master."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_ports import free_port, listens, wait_for

from openalign import cli
from openalign.errors import StageError
from openalign.preflight import Check, checks, require

RUNNER_CLASS = "org/apache/beam/runners/spark/SparkPipelineRunner.class"
MANIFEST = ("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
PROPERTIES = "META-INF/maven/org.apache.beam/beam-runners-spark{}/pom.properties"
VERSION = ("org/apache/beam/sdk/sdk.properties", "# SDK\nversion=2.62.0\n")


def found(flags: list[str], root: str = "/tmp/run") -> dict[str, Check]:
    return {check.subject: check for check in checks(flags, root)}


def jar(folder: Path, *members: tuple[str, str]) -> str:
    path = folder / "server.jar"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members:
            archive.writestr(name, text)
    return str(path)


@contextmanager
def master(spark_version: str) -> Generator[str]:
    """Answer as a Spark master's REST server does."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"serverSparkVersion": spark_version, "success": False}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def spark(rest_url: str, jar_path: str, *more: str) -> list[str]:
    return [
        "--runner=SparkRunner",
        "--spark_submit_uber_jar",
        f"--spark_rest_url={rest_url}",
        f"--spark_job_server_jar={jar_path}",
        *more,
    ]


def test_a_local_run_needs_no_check() -> None:
    assert found([]) == {}
    assert found(["--runner=DirectRunner"]) == {}


def test_a_root_in_memory_is_no_place_for_a_clusters_workers() -> None:
    root = found(["--runner=SparkRunner"], "memory://run")["root"]

    assert root.problem == (
        "the root memory://run can be seen by this process only, not by the runner's workers"
    )
    assert "gs://bucket/run" in root.hint


def test_a_folder_of_this_machine_is_no_root_for_dataflow() -> None:
    flags = ["--runner=DataflowRunner", "--temp_location=gs://bucket/temp"]

    assert "which Dataflow's workers cannot see" in found(flags, "/tmp/run")["root"].problem
    assert found(flags, "gs://bucket/run")["root"].problem == ""


@pytest.mark.parametrize(
    ("members", "seen", "problem"),
    [
        pytest.param(
            [MANIFEST, (RUNNER_CLASS, ""), (PROPERTIES.format("-3"), ""), VERSION],
            "Beam 2.62.0, Spark 3",
            "",
            id="Spark 3",
        ),
        pytest.param(
            [MANIFEST, (RUNNER_CLASS, ""), (PROPERTIES.format("-4"), ""), VERSION],
            "Beam 2.62.0, Spark 4",
            "is for Spark 4, not for Spark 3",
            id="Spark 4",
        ),
        pytest.param(
            [MANIFEST, (RUNNER_CLASS, ""), (PROPERTIES.format(""), "")],
            "Beam of unknown version, Spark 2",
            "is for Spark 2, not for Spark 3",
            id="Spark 2",
        ),
        pytest.param(
            [MANIFEST, (RUNNER_CLASS, ""), ("spark-version-info.properties", "version=4.0.1\n")],
            "Beam of unknown version, Spark 4",
            "is for Spark 4, not for Spark 3",
            id="Spark 4 inside",
        ),
        pytest.param(
            [(MANIFEST[0], "Class-Path: file:a.jar\n")], "a list of other jars", "", id="thin"
        ),
        pytest.param(
            [MANIFEST, ("a/B.class", "")],
            "another jar",
            "is not Beam's: there is no SparkPipelineRunner in it",
            id="another",
        ),
        pytest.param([("a", "")], "no jar", "is no jar", id="a zip"),
    ],
)
def test_a_jar_is_looked_into(
    tmp_path: Path, members: list[tuple[str, str]], seen: str, problem: str
) -> None:
    path = jar(tmp_path, *members)

    check = found(spark("http://127.0.0.1:1", path))["jar"]

    assert check.found == f"{path}: {seen}"
    assert check.problem == (f"the Spark job server {path} {problem}" if problem else "")


def test_a_jar_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"job server .*/none\.jar is not there") as caught:
        require(spark("http://127.0.0.1:1", str(tmp_path / "none.jar")), str(tmp_path))

    assert "beam-runners-spark-3-job-server-" in str(caught.value.hint)


def test_a_master_that_does_not_answer_is_named() -> None:
    address = f"http://127.0.0.1:{free_port()}"

    check = found(["--runner=SparkRunner", f"--spark_rest_url={address}"])["master"]

    assert check.problem.startswith(f"no Spark master answers at {address} (")
    assert "spark.master.rest.enabled=true" in check.hint


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        pytest.param("3.5.9", "", id="Spark 3"),
        pytest.param("4.0.0", "is Spark 4.0.0; Beam speaks to Spark 3", id="Spark 4"),
    ],
)
def test_a_master_says_which_spark_it_is(version: str, problem: str) -> None:
    with master(version) as url:
        check = found(["--runner=SparkRunner", f"--spark_rest_url={url}"])["master"]

    assert check.found == f"{url}: Spark {version}"
    assert check.problem == (f"the master at {url} {problem}" if problem else "")


def test_a_master_without_a_rest_server_is_looked_for_at_its_port() -> None:
    port = free_port()
    flags = ["--runner=SparkRunner", f"--spark_master_url=spark://127.0.0.1:{port}"]

    assert f"answers at 127.0.0.1:{port}" in found(flags)["master"].problem


def test_java_is_needed_where_beam_starts_a_job_server() -> None:
    flags = ["--runner=SparkRunner", "--job_server_java_launcher=no-such-java"]

    assert found(flags)["java"].problem.startswith("Java is not there (no-such-java)")
    assert "java" not in found([*flags, "--spark_submit_uber_jar"])


def test_this_process_cannot_be_the_worker_of_a_remote_master() -> None:
    flags = ["--runner=SparkRunner", "--spark_rest_url=http://spark.invalid:6066"]

    check = found([*flags, "--environment_type=LOOPBACK"])["workers"]

    assert "spark.invalid cannot reach" in check.problem


def test_a_pool_beside_a_remote_executor_is_not_asked_from_here() -> None:
    flags = ["--runner=SparkRunner", "--spark_rest_url=http://spark.invalid:6066"]
    pool = ["--environment_type=EXTERNAL", f"--environment_config=localhost:{free_port()}"]

    check = found([*flags, *pool])["workers"]

    assert "not checked from here" in check.found
    assert check.problem == ""


def test_a_pool_that_does_not_answer_is_named() -> None:
    pool = f"localhost:{free_port()}"
    flags = ["--runner=SparkRunner", "--environment_type=EXTERNAL"]

    check = found([*flags, f"--environment_config={pool}"])["worker pool"]

    assert check.problem.startswith(f"no worker pool answers at {pool} (")
    assert "apache_beam.runners.worker.worker_pool_main" in check.hint


# Real worker pools --------------------------------------------------------------------------------


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
        "--spark_submit_uber_jar",
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


def test_the_doctor_shows_every_problem_and_sends_no_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--spark_rest_url=http://127.0.0.1:1", "--spark_job_server_jar=none.jar"]

    code = cli.main(["doctor", "--runner", "spark", "--", *flags, "--spark_submit_uber_jar"])

    out, err = capsys.readouterr()
    assert code == 2
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == [
        "ok",
        "FAILS",
        "FAILS",
        "ok",
    ]
    assert "the Spark job server none.jar is not there" in out
    assert "jobs cannot run there: 2 of the checks failed" in err
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_sends_a_job_of_one_element(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert cli.main(["doctor"]) == 0

    assert capsys.readouterr().out.startswith("ok     job           ended; Python 3.")
    assert list((tmp_path / "runs").iterdir()) == []
