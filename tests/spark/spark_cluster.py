"""A real Spark 3.5 cluster and a Beam worker pool, as processes of this machine.

The `pyspark` wheel holds all of Spark but the scripts that start a cluster, so its classes are
started here: a master with its REST server and two workers, on free ports of the loopback device.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from local_ports import free_port, listens
from patience import wait_for

_OPENED = (
    ["lang", "nio", "util", "lang.invoke", "util.concurrent", "net", "lang.reflect", "io"],
    ["sun.nio.ch", "sun.security.action"],
)
JAVA_OPTIONS = " ".join(
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in (*(f"java.{name}" for name in _OPENED[0]), *_OPENED[1])
)
"""What Spark reaches into under Java 17; its own scripts say the same."""


_SUPERVISOR = """
import os, signal, subprocess, sys, threading
def end():
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=end, daemon=True).start()
sys.exit(subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL))
"""
"""Runs a command until it ends, or this process does, however that ends: then its input closes."""


@dataclass
class Processes:
    """Processes started here, each in a group that ends as a whole, at the latest with this one."""

    folder: Path
    _started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str], environment: dict[str, str]) -> int:
        """Start one in a folder of its own; what it says is in `<name>.log`."""
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _SUPERVISOR, *command],
                cwd=place,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started[name] = process
        return process.pid

    def kill(self, name: str) -> None:
        """End one, and all that it started, at once."""
        process = self._started.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def pids(self, prefix: str) -> list[int]:
        """Return the processes whose name begins so."""
        return [p.pid for name, p in self._started.items() if name.startswith(prefix)]

    def kill_all(self) -> None:
        """End them all."""
        for name in reversed(list(self._started)):
            self.kill(name)


@dataclass
class Cluster:
    """A running cluster and its pool."""

    processes: Processes
    rest_url: str
    master_url: str
    pool_port: int
    pool_python: Path
    jar: Path

    @property
    def beam_options(self) -> list[str]:
        """What follows `--` to send a job here."""
        return [
            "--runner=SparkRunner",
            "--spark_submit_uber_jar",
            f"--spark_job_server_jar={self.jar}",
            f"--spark_rest_url={self.rest_url}",
            f"--spark_master_url={self.master_url}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{self.pool_port}",
        ]

    def start_pool(self) -> None:
        """Start the worker pool and wait until it listens."""
        binaries = self.pool_python.parent
        environment = {
            "PATH": f"{binaries}:/usr/bin:/bin",  # a pool starts the first `python` there
            "HOME": str(self.processes.folder),
            "POLARS_MAX_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        module = "apache_beam.runners.worker.worker_pool_main"
        command = [str(self.pool_python), "-m", module, f"--service_port={self.pool_port}"]
        self.processes.start("pool", command, environment)
        wait_for(lambda: listens(self.pool_port), "the worker pool's start")

    def kill_pool(self) -> None:
        """Kill the pool with every worker that it started, and wait until its port is free."""
        self.processes.kill("pool")
        wait_for(lambda: not listens(self.pool_port), "the worker pool's end")

    def executors(self) -> list[int]:
        """Return the processes of Spark's executors."""
        return [
            child.pid
            for worker in self.processes.pids("worker-")
            for child in psutil.Process(worker).children(recursive=True)
            if any(word.endswith("CoarseGrainedExecutorBackend") for word in _words(child))
        ]


@contextmanager
def started(
    folder: Path, *, pool_python: Path, jar: Path, cores: Sequence[int] = (2, 2)
) -> Generator[Cluster]:
    """Yield a cluster with a worker for each number of cores; it ends with the block.

    One of all these cores goes to the driver of a job.
    """
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    home = Path(spec.origin).parent
    rest_port, master_port = free_port(), free_port()
    processes = Processes(folder)
    cluster = Cluster(
        processes=processes,
        rest_url=f"http://127.0.0.1:{rest_port}",
        master_url=f"spark://127.0.0.1:{master_port}",
        pool_port=free_port(),
        pool_python=pool_python,
        jar=jar,
    )
    environment = {
        **{name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ},
        "HOME": str(folder),
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JDK_JAVA_OPTIONS": JAVA_OPTIONS,
        "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=true "
        f"-Dspark.master.rest.port={rest_port}",
    }
    spark = ["bash", str(home / "bin" / "spark-class"), "org.apache.spark.deploy"]
    try:
        master = [*spark[:2], f"{spark[2]}.master.Master", "--host", "127.0.0.1"]
        master += ["--port", str(master_port), "--webui-port", "0"]
        processes.start("master", master, environment)
        wait_for(lambda: bool(_status(cluster.rest_url)), "the master's start")
        for number, share in enumerate(cores):
            worker = [*spark[:2], f"{spark[2]}.worker.Worker", "--host", "127.0.0.1"]
            worker += ["--cores", str(share), "--memory", "2g", "--webui-port", "0"]
            worker += ["--work-dir", "work", cluster.master_url]
            processes.start(f"worker-{number}", worker, environment)
        cluster.start_pool()
        wait_for(lambda: _num_workers(processes) == len(cores), "the workers' registration")
        yield cluster
    finally:
        processes.kill_all()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # ended in between, or waits to be reaped
        return []


def _num_workers(processes: Processes) -> int:
    log = (processes.folder / "master.log").read_text(errors="replace")
    return log.count("Registering worker")


def _status(rest_url: str) -> str:
    try:
        with urllib.request.urlopen(f"{rest_url}/v1/submissions/status/none") as answer:
            return str(json.loads(answer.read())["serverSparkVersion"])
    except OSError:
        return ""
