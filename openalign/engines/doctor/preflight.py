"""Checks of a cluster before a job is sent to it: its jar, Java, master, workers, root.

A stage calls `require` before it writes anything. Workers that this machine can reach report their
versions. Workers behind a remote master cannot be reached, so a job of one element goes there first
(`try_job`). `openalign doctor` shows every check, and always sends that job.
"""

import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apache_beam as beam

from openalign.engines.doctor import spark_jar
from openalign.engines.doctor.check import Check, endpoint
from openalign.engines.doctor.spark_jar import SPARK_LINE
from openalign.engines.runners import LOCAL, is_dry_run, read_options, run_job, runner_of
from openalign.errors import StageError
from openalign.files import storage

_ENVIRONMENTS = ("DOCKER", "EXTERNAL", "LOOPBACK", "PROCESS")
_PROBE_SECONDS = 90
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_POOL_HINT = (
    "start `python -m apache_beam.runners.worker.worker_pool_main --service_port PORT` from an "
    "environment with openalign[ingest] whose `bin` is first on PATH"
)


def require(beam_options: Sequence[str], root: str) -> None:
    """Check that a job with these options can start and write under `root`; local jobs always can.

    Raises:
        StageError: a check found a problem.
        ConfigError: an option is none of Beam's.
    """
    asked = True
    for check in checks(beam_options, root):
        if check.problem:
            raise StageError(check.problem, hint=check.hint)
        asked &= not check.unknown
    if not asked:
        tried = try_job(beam_options, root)
        if tried.problem:
            raise StageError(tried.problem, hint=tried.hint)


def all_checks(beam_options: Sequence[str], root: str) -> Iterator[Check]:
    """Yield every check; if none found a problem, send a job of one element."""
    found_problem = False
    for check in checks(beam_options, root):
        found_problem |= bool(check.problem)
        yield check
    if not found_problem and not is_dry_run(beam_options):
        yield try_job(beam_options, root)


def checks(beam_options: Sequence[str], root: str) -> Iterator[Check]:
    """Yield the checks, in the order in which a job would meet the problems."""
    read = read_options(beam_options)
    options, runner = read.get_all_options(), runner_of(read)
    if runner == LOCAL or is_dry_run(beam_options):
        return
    if runner == "DataflowRunner":
        yield from dataflow_checks(beam_options, root)
        return
    yield _root(root, everywhere=False)
    if runner == "SparkRunner":
        yield from _spark(options)
    if runner == "PortableRunner" and options["job_endpoint"]:
        yield endpoint("job server", str(options["job_endpoint"]))
    if runner in ("SparkRunner", "FlinkRunner", "PortableRunner"):
        yield _workers(options, root)


def dataflow_checks(beam_options: Sequence[str], root: str) -> Iterator[Check]:
    """Yield the checks that need no call to Google; a dry run makes them too.

    Dataflow gets no job of one element before a stage. Such a job takes minutes, all workers see
    the root, and workers without the package fail before they write.
    """
    options = read_options(beam_options).get_all_options()
    yield _root(root, everywhere=True)
    image = options["sdk_container_image"]
    others = [name for name in ("setup_file", "extra_packages") if options.get(name)]
    lacking = not image and not others
    yield Check(
        subject="workers",
        found=f"{image or ', '.join(others) or 'Google image'}: not looked into",
        problem="Google's image of Beam has no openalign" if lacking else "",
        hint="name the image of docker/beam-worker with --sdk_container_image",
    )


def try_job(beam_options: Sequence[str], root: str) -> Check:
    """Run a job of one element and look for its file under `root`."""
    url = storage.join(root, f".doctor-{uuid.uuid4().hex}")
    try:
        return _try(beam_options, root, url)
    finally:
        storage.remove(url)


def _try(beam_options: Sequence[str], root: str, url: str) -> Check:
    try:
        run_job(partial(_leave_word, url=url), beam_options)
    except StageError as error:
        return Check(subject="job", found="failed", problem=str(error), hint=error.hint or "")
    if not storage.exists(url):
        return Check(
            subject="job",
            found="ended, and left nothing",
            problem=f"a worker wrote under {root}, and it cannot be seen from here",
            hint="set the pipeline's root to a URL or a mounted folder that every worker shares",
        )
    found = json.loads(storage.read_text(url))
    return Check(subject="job", found=f"ended; {_described(found)}", **_differences(found))


def _leave_word(pipeline: beam.Pipeline, *, url: str) -> None:
    _ = pipeline | beam.Create([url]) | beam.Map(_write_versions)


def _write_versions(url: str) -> None:
    found = {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "apache-beam": version("apache-beam"),
        "openalign": version("openalign"),
    }
    storage.write_text(url, json.dumps(found))


# The root -----------------------------------------------------------------------------------------


def _root(root: str, *, everywhere: bool) -> Check:
    problem = ""
    if root.startswith("memory:"):
        problem = f"the root {root} can be seen by this process only, not by the runner's workers"
    elif everywhere and storage.is_local(root):
        problem = (
            f"the root {root} is a folder of this machine, which Dataflow's workers cannot see"
        )
    found = f"{root}, which every worker must see" if storage.is_local(root) else root
    return Check(
        subject="root",
        found=root if problem else found,
        problem=problem,
        hint="set the pipeline's root to a URL that every worker sees, such as gs://bucket/run",
    )


# Spark --------------------------------------------------------------------------------------------


def _spark(options: Mapping[str, Any]) -> Iterator[Check]:
    by_rest = bool(options["spark_submit_uber_jar"])
    yield _jar(options, holds_spark=not by_rest)
    if not by_rest:
        yield _java(str(options["job_server_java_launcher"] or "java"))
    rest, master = str(options["spark_rest_url"] or ""), str(options["spark_master_url"])
    if by_rest != bool(rest):
        yield Check(
            subject="master",
            found=rest or "no REST address",
            problem="--spark_submit_uber_jar and --spark_rest_url go together, one of them is not "
            "given",
            hint="give both to submit to the master's REST server, or none to use a job server",
        )
    elif rest:
        yield _rest(rest)
        yield from _temporary_folder(options)
    elif master.startswith("local"):
        yield Check(subject="master", found=f"none named: Spark inside Beam's process ({master})")
    elif master.startswith("spark://"):
        # One of several masters leads; any master that answers names it.
        tried = [endpoint("master", a) for a in master.removeprefix("spark://").split(",")]
        yield next((check for check in tried if not check.problem), tried[0])


def _jar(options: Mapping[str, Any], *, holds_spark: bool) -> Check:
    name = str(options["spark_job_server_jar"] or "")
    if not name:
        return Check(subject="jar", found="none named: Beam downloads that of its own version")
    if "://" in name:
        return Check(subject="jar", found=f"{name}, which Beam downloads")
    found, problem = spark_jar.look_into(Path(name), holds_spark=holds_spark)
    return Check(
        subject="jar",
        found=f"{name}: {found}",
        problem=f"the Spark job server {name} {problem}" if problem else "",
        hint="--spark_job_server_jar names Beam's job server for Spark "
        f"{SPARK_LINE}, such as beam-runners-spark-{SPARK_LINE}-job-server-{beam.__version__}.jar",
    )


def _java(launcher: str) -> Check:
    hint = "install a Java 11 or 17 runtime, or submit with --spark_submit_uber_jar"
    if shutil.which(launcher) is None:
        problem = f"Java is not there ({launcher}): Beam starts its Spark job server with it"
        return Check(subject="java", found="none", problem=problem, hint=hint)
    done = subprocess.run(  # noqa: S603  # the launcher that Beam is told to start
        [launcher, "-version"], capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stderr.splitlines() if "version" in line]
    return Check(subject="java", found=lines[0] if lines else launcher)


def _temporary_folder(options: Mapping[str, Any]) -> Iterator[Check]:
    """Yield a problem if a remote cluster could not see the jar of a job."""
    folder, master = tempfile.gettempdir(), _host_of_master(options)
    if master not in _names_of_this_machine() and folder in ("/tmp", "/var/tmp", "/usr/tmp"):  # noqa: S108
        yield Check(
            subject="jar",
            found=f"handed over in {folder}",
            problem=f"Beam puts the job's jar into {folder}, which the workers of {master} do not "
            "see: it is handed over by its path",
            hint="set TMPDIR to a folder that the Spark workers see under the same path",
        )


def _rest(url: str) -> Check:
    subject = "master"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return Check(
            subject=subject,
            found=url,
            problem=f"--spark_rest_url must be http://HOST:PORT, got {url}",
            hint="the REST server has a port of its own, 6066 by default",
        )
    by_tls = parts.scheme == "https"
    connect = http.client.HTTPSConnection if by_tls else http.client.HTTPConnection
    connection = connect(parts.netloc, timeout=10)
    try:
        connection.request("GET", "/v1/submissions/status/openalign")
        answer = json.loads(connection.getresponse().read())
        spark = str(answer["serverSparkVersion"])
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
        return Check(
            subject=subject,
            found=f"{url}: {error}",
            problem=f"no Spark master answers at {url} ({error})",
            hint="--spark_rest_url is the master's REST server, http://HOST:6066 by default (8080 "
            "is its web page, 7077 its RPC); it is off unless spark.master.rest.enabled=true",
        )
    finally:
        connection.close()
    if spark.partition(".")[0] != SPARK_LINE:
        return Check(
            subject=subject,
            found=f"{url}: Spark {spark}",
            problem=f"the master at {url} is Spark {spark}; Beam speaks to Spark {SPARK_LINE}",
            hint="run a Spark 3.5 cluster",
        )
    return Check(subject=subject, found=f"{url}: Spark {spark}")


# The workers --------------------------------------------------------------------------------------


def _workers(options: Mapping[str, Any], root: str) -> Check:
    master = _host_of_master(options)
    here = master in _names_of_this_machine()
    # Beam's defaults: this process serves the workers of a master that Beam starts here.
    kind = str(options["environment_type"] or ("DOCKER" if master else "LOOPBACK")).upper()
    if kind == "LOOPBACK" and here:
        return Check(subject="workers", found="this process (LOOPBACK)")
    if kind == "LOOPBACK":
        return Check(
            subject="workers",
            found="this process (LOOPBACK)",
            problem=f"LOOPBACK runs the Python code in this process, which {master} cannot reach",
            hint="use --environment_type=EXTERNAL with a worker pool beside each Spark worker, "
            "or DOCKER",
        )
    if kind not in _ENVIRONMENTS:
        return Check(
            subject="workers",
            found=kind,
            problem=f"--environment_type must be one of {', '.join(_ENVIRONMENTS)}, got {kind}",
            hint="EXTERNAL for worker pools that run already, DOCKER for containers",
        )
    pool = str(options["environment_config"] or "")
    if kind == "EXTERNAL" and not pool.rpartition(":")[2].isdigit():
        return Check(
            subject="workers",
            found=f"EXTERNAL {pool}",
            problem=f"--environment_config must be the pool's HOST:PORT, got `{pool}`",
            hint="a pool beside each executor is localhost:50000",
        )
    # A worker calls back to this process's own address, which only this machine can reach.
    if kind != "EXTERNAL" or not here or pool.rpartition(":")[0] not in _LOOPBACK:
        found = f"{kind} {pool}".strip()
        return Check(subject="workers", found=f"{found}: cannot be asked from here", unknown=True)
    reached = endpoint("worker pool", pool, hint=_POOL_HINT)
    return reached if reached.problem else _probe(pool, root)


def is_remote(beam_options: Sequence[str]) -> bool:
    """Tell whether jobs run where this machine's loopback device cannot be reached."""
    options = read_options(beam_options)
    if runner_of(options) == "DataflowRunner":
        return True
    return _host_of_master(options.get_all_options()) not in _names_of_this_machine()


def _host_of_master(options: Mapping[str, Any]) -> str:
    """Return the host that a job is sent to; empty when Beam starts its own master."""
    for name in ("spark_rest_url", "spark_master_url", "flink_master", "job_endpoint"):
        address = str(options.get(name) or "")
        if address and not address.startswith(("local", "[local]", "[auto]")):
            parts = urlsplit(address if "://" in address else f"//{address}")
            return parts.hostname or address
    return ""


def _names_of_this_machine() -> tuple[str, ...]:
    return ("", *_LOOPBACK, socket.gethostname(), socket.getfqdn())


def _probe(pool: str, root: str) -> Check:
    """Ask a worker of the pool for its versions, in a separate process: a broken pool hangs."""
    marker = storage.join(root, f".seen-{uuid.uuid4().hex}")
    storage.write_text(marker, "workers look for this file\n")
    command = [sys.executable, "-m", "openalign.engines.doctor.worker_probe", pool, marker]
    failed: Callable[..., Check] = partial(Check, subject="workers", hint=_POOL_HINT)
    try:
        done = subprocess.run(  # noqa: S603  # our own module
            command, capture_output=True, text=True, check=False, timeout=_PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return failed(
            found=f"{pool}: no worker in {_PROBE_SECONDS} s",
            problem=f"the worker pool at {pool} starts no worker: perhaps its `python` lacks Beam",
        )
    finally:
        storage.remove(marker)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if len(line.strip()) > 1]
        reason = lines[-1] if lines else "no reason given"
        return failed(
            found=f"{pool}: {reason}", problem=f"the worker pool at {pool} runs no job ({reason})"
        )
    found = json.loads(done.stdout.splitlines()[-1])
    if found.get("sees_root") is False:
        return Check(
            subject="workers",
            found=f"{pool}: {_described(found)}",
            problem=f"the workers of {pool} do not see the root {root}",
            hint="set the pipeline's root to a URL or a mounted folder that every worker shares",
        )
    return Check(subject="workers", found=f"{pool}: {_described(found)}", **_differences(found))


def _described(found: Mapping[str, Any]) -> str:
    names = {"python": "Python", "apache-beam": "Beam", "openalign": "openalign"}
    return ", ".join(f"{name} {found[key] or 'missing'}" for key, name in names.items())


def _differences(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the problem and the hint if a worker's versions differ from this machine's."""
    here = {
        "openalign": version("openalign"),
        "apache-beam": beam.__version__,
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
    }
    for name, wanted in here.items():
        if found[name] is None:
            problem = f"the workers lack {name}"
        elif found[name] != wanted:
            problem = f"the workers have {name} {found[name]}, this process has {wanted}"
        else:
            continue
        return {"problem": problem, "hint": f"install {name} {wanted} in the workers' environment"}
    return {}
