"""What is checked before a job goes to a cluster: real pools and jars, an HTTP server as master."""

import http.server
import json
import socket
import threading
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
import pytest
from local_ports import free_port

from openalign import cli
from openalign.engines.doctor.check import Check
from openalign.engines.doctor.preflight import checks, is_remote, require
from openalign.errors import StageError

RUNNER_CLASS = "org/apache/beam/runners/spark/SparkPipelineRunner.class"
MANIFEST = ("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
PROPERTIES = "META-INF/maven/org.apache.beam/beam-runners-spark{}/pom.properties"
REST = "--spark_submit_uber_jar"
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
        REST,
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
            f"Beam 2.62.0, Spark 3 (this is Beam {beam.__version__}: take the jar of its version "
            "where you can)",
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

    check = found(["--runner=SparkRunner", REST, f"--spark_rest_url={address}"])["master"]

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
        check = found(["--runner=SparkRunner", REST, f"--spark_rest_url={url}"])["master"]

    assert check.found == f"{url}: Spark {version}"
    assert check.problem == (f"the master at {url} {problem}" if problem else "")


def test_a_master_without_a_rest_server_is_looked_for_at_its_port() -> None:
    port = free_port()
    flags = ["--runner=SparkRunner", f"--spark_master_url=spark://127.0.0.1:{port}"]

    assert f"answers at 127.0.0.1:{port}" in found(flags)["master"].problem


def test_of_several_masters_one_must_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        masters = f"127.0.0.1:{free_port()},127.0.0.1:{server.getsockname()[1]}"
        flags = ["--runner=SparkRunner", f"--spark_master_url=spark://{masters}"]

        assert found(flags)["master"].problem == ""


@pytest.mark.parametrize("flag", [REST, "--spark_rest_url=http://127.0.0.1:6066"])
def test_the_rest_address_and_the_uber_jar_go_together(flag: str) -> None:
    assert "go together" in found(["--runner=SparkRunner", flag])["master"].problem


@pytest.mark.parametrize("name", ["spark", "SPARKRUNNER", "SparkRunner"])
def test_beams_other_names_of_a_runner_are_checked_too(name: str) -> None:
    flags = [f"--runner={name}", "--spark_master_url=spark://127.0.0.1:1"]

    assert "no master answers" in found(flags)["master"].problem


def test_a_remote_master_must_see_where_the_jar_is_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--runner=SparkRunner", REST, "--spark_rest_url=http://spark.invalid:6066"]
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    of_jar = [check for check in checks(flags, str(tmp_path)) if check.subject == "jar"]
    assert "Beam puts the job's jar into /tmp" in of_jar[-1].problem
    assert "set TMPDIR" in of_jar[-1].hint

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert not any(c.problem for c in checks(flags, str(tmp_path)) if c.subject == "jar")


def test_a_jar_that_is_started_here_must_hold_spark(tmp_path: Path) -> None:
    path = jar(tmp_path, MANIFEST, (RUNNER_CLASS, ""), (PROPERTIES.format("-3"), ""))
    flags = ["--runner=SparkRunner", f"--spark_job_server_jar={path}"]

    assert "holds no class of Spark" in found(flags)["jar"].problem
    assert found([*flags, REST])["jar"].problem == ""


@pytest.mark.parametrize(
    ("flags", "remote"),
    [
        pytest.param([], False, id="here"),
        pytest.param(["--runner=SparkRunner"], False, id="Spark here"),
        pytest.param(
            ["--runner=SparkRunner", "--spark_master_url=spark://127.0.0.1:7077"], False, id="own"
        ),
        pytest.param(
            ["--runner=SparkRunner", "--spark_master_url=spark://a.invalid:7077"], True, id="far"
        ),
        pytest.param(
            ["--runner=dataflow", "--temp_location=gs://bucket/temp"], True, id="Dataflow"
        ),
    ],
)
def test_a_cluster_is_remote_or_it_is_not(flags: list[str], *, remote: bool) -> None:
    assert is_remote(flags) == remote


@pytest.mark.parametrize("url", ["spark://127.0.0.1:6066", "127.0.0.1:6066"])
def test_a_rest_address_is_http(url: str) -> None:
    check = found(["--runner=SparkRunner", REST, f"--spark_rest_url={url}"])["master"]

    assert check.problem == f"--spark_rest_url must be http://HOST:PORT, got {url}"


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        pytest.param(
            ["--environment_type=EXTERNEL"],
            "--environment_type must be one of DOCKER, EXTERNAL, LOOPBACK, PROCESS, got EXTERNEL",
            id="type",
        ),
        pytest.param(
            ["--environment_type=EXTERNAL", "--environment_config=localhost"],
            "--environment_config must be the pool's HOST:PORT, got `localhost`",
            id="no port",
        ),
    ],
)
def test_where_workers_run_is_spelled_right(flags: list[str], problem: str) -> None:
    assert found(["--runner=SparkRunner", *flags])["workers"].problem == problem


def test_dataflows_own_image_is_not_enough() -> None:
    flags = ["--runner=DataflowRunner", "--temp_location=gs://bucket/temp"]

    assert "has no openalign" in found(flags, "gs://bucket/run")["workers"].problem
    named = [*flags, "--sdk_container_image=eu.example/openalign:1"]
    image = found(named, "gs://bucket/run")["workers"]
    # A job there takes minutes: none is sent ahead.
    assert (image.problem, image.unknown) == ("", False)


def test_a_jar_may_be_a_url() -> None:
    flags = ["--runner=SparkRunner", "--spark_job_server_jar=https://example.org/server.jar"]

    assert found(flags)["jar"].problem == ""


def test_java_is_needed_where_beam_starts_a_job_server() -> None:
    flags = ["--runner=SparkRunner", "--job_server_java_launcher=no-such-java"]

    assert found(flags)["java"].problem.startswith("Java is not there (no-such-java)")
    assert "java" not in found([*flags, REST])


def test_this_process_cannot_be_the_worker_of_a_remote_master() -> None:
    flags = ["--runner=SparkRunner", "--spark_master_url=spark://spark.invalid:7077"]

    check = found([*flags, "--environment_type=LOOPBACK"])["workers"]

    assert "spark.invalid cannot reach" in check.problem


def test_a_pool_beside_a_remote_executor_is_not_asked_from_here() -> None:
    pool = ["--environment_type=EXTERNAL", f"--environment_config=localhost:{free_port()}"]
    for master in (
        ["--runner=SparkRunner", "--spark_master_url=spark://spark.invalid:7077"],
        ["--runner=FlinkRunner", "--flink_master=flink.invalid:8081"],
        ["--runner=PortableRunner", "--job_endpoint=jobs.invalid:8099"],
    ):
        check = found([*master, *pool])["workers"]

        assert "cannot be asked from here" in check.found
        assert (check.problem, check.unknown) == ("", True)


def test_workers_that_cannot_be_asked_get_a_job_first(tmp_path: Path) -> None:
    # A job server that answers the door and no call: the stage must not go on to write.
    with socket.create_server(("127.0.0.1", 0)) as server:
        flags = ["--runner=PortableRunner", "--environment_type=DOCKER"]
        flags.append(f"--job_endpoint=localhost:{server.getsockname()[1]}")
        flags.append("--job_server_timeout=1")

        with pytest.raises(StageError, match="the job could not be sent to PortableRunner"):
            require(flags, str(tmp_path / "run"))

    assert not list((tmp_path / "run").glob("*"))


def test_a_pool_that_does_not_answer_is_named() -> None:
    pool = f"localhost:{free_port()}"
    flags = ["--runner=SparkRunner", "--environment_type=EXTERNAL"]

    check = found([*flags, f"--environment_config={pool}"])["worker pool"]

    assert check.problem.startswith(f"no worker pool answers at {pool} (")
    assert "apache_beam.runners.worker.worker_pool_main" in check.hint


def test_the_doctor_shows_every_problem_and_sends_no_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--spark_rest_url=http://127.0.0.1:1", "--spark_job_server_jar=none.jar"]

    code = cli.main(["doctor", "--runner", "spark", "--", *flags, REST])

    out, err = capsys.readouterr()
    assert code == 2
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == [
        "ok",
        "FAILS",
        "FAILS",
        "?",
    ]
    assert "the Spark job server none.jar is not there" in out
    assert "jobs cannot run there: 2 of the checks failed" in err
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_prints_json_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--spark_rest_url=http://127.0.0.1:1", "--spark_job_server_jar=none.jar"]

    code = cli.main(["doctor", "--json", "--runner", "spark", "--", *flags, REST])

    out, err = capsys.readouterr()
    findings = json.loads(out)
    assert code == 2
    assert [each["state"] for each in findings] == ["ok", "FAILS", "FAILS", "?"]
    assert findings[1]["subject"] == "jar"
    assert "the Spark job server none.jar is not there" in findings[1]["problem"]
    assert "--spark_job_server_jar names Beam's job server" in findings[1]["hint"]
    assert findings[0]["hint"] == ""
    assert "jobs cannot run there: 2 of the checks failed" in err


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        pytest.param("--dry_run=True", "a dry run is for a stage", id="dry run"),
        pytest.param("--runner=DataflowRunner", "two runners are named", id="two runners"),
    ],
)
def test_the_doctor_refuses_what_says_nothing(
    flag: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["doctor", "--runner", "spark", "--", flag]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("choice", [[], ["--runner", "spark"]])
def test_the_doctor_takes_a_stages_own_options(
    choice: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--runner=SparkRunner", REST, "--spark_rest_url=http://127.0.0.1:1"]

    assert cli.main(["doctor", *choice, "--", *flags]) == 2
    assert "no Spark master answers at http://127.0.0.1:1" in capsys.readouterr().out


def test_the_doctor_names_a_root_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("a file where the folder should be")

    assert cli.main(["doctor"]) == 2
    assert "runs" in capsys.readouterr().err


def test_the_doctor_sends_a_job_of_one_element(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert cli.main(["doctor"]) == 0

    assert capsys.readouterr().out.startswith("ok     job           ended; Python 3.")
    assert list(tmp_path.iterdir()) == []
