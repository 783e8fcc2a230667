"""`make test-spark`: the data stages on a real Spark cluster whose workers hold only the wheel."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hostile_rounds import DAY, HostileRounds, bytes_below
from kill_rounds import ENDS, SOURCES
from patience import wait_for
from spark_cluster import Cluster, started

from openalign.hostile_web.cases import all_cases
from openalign.hostile_web.hostile_server import serve

REPOSITORY = Path(__file__).parents[2]
FOLDERS = {
    "harvest": "candidates",
    "filter": "filtered",
    "fetch": "shards",
    "select": "selected",
}

pytestmark = pytest.mark.spark


def command(verb: str, root: Path, options: Sequence[str] = ()) -> list[str]:
    stage = [sys.executable, "-m", "openalign", verb, "demo", "--set", f"root={root}"]
    return [*stage, "--", *options] if options else stage


def run(verb: str, root: Path, options: Sequence[str] = ()) -> None:
    done = subprocess.run(
        command(verb, root, options), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@contextmanager
def started_job(
    verb: str, root: Path, options: Sequence[str]
) -> Generator["subprocess.Popen[str]"]:
    """Yield the process that started a job; it does not outlive the block."""
    with subprocess.Popen(
        command(verb, root, options), cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    ) as job:
        try:
            yield job
        finally:
            job.kill()


def wait_for_file(job: "subprocess.Popen[str]", root: Path, pattern: str) -> None:
    """Wait until a job has written something, or has ended."""
    wait_for(lambda: any(root.glob(pattern)) or job.poll() is not None, pattern)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def link(source: Path, root: Path, folders: Sequence[str]) -> Path:
    """Give a run another's finished stages, as hard links."""
    for folder in folders:
        shutil.copytree(source / folder, root / folder, copy_function=os.link)
    return root


def finish(job: "subprocess.Popen[str]", verb: str, root: Path, options: Sequence[str]) -> None:
    """Wait for a job that something was killed under; where it failed, run it again."""
    _, errors = job.communicate()
    if job.returncode != 0:
        assert job.returncode == 2, errors[-3000:]
        assert "the job failed on SparkRunner" in errors
        run(verb, root, options)


@pytest.fixture(scope="module", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """Where the jobs of these tests put what is not theirs to keep."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, clean_environment: Path
) -> Generator[Cluster]:
    jar = Path(os.environ["OPENALIGN_SPARK_JOB_SERVER_JAR"]).absolute()
    folder = tmp_path_factory.mktemp("cluster")
    with started(folder, pool_python=clean_environment, jar=jar) as running:
        yield running


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's data stages on this machine, without a cluster."""
    root = tmp_path_factory.mktemp("local")
    for verb in FOLDERS:
        run(verb, root)
    return root


def test_the_cluster_passes_the_doctor(cluster: Cluster, tmp_path: Path) -> None:
    flags = ["--set", f"root={tmp_path}", "--runner", "spark", "--", *cluster.beam_options]

    done = subprocess.run(
        [sys.executable, "-m", "openalign", "doctor", "demo", *flags],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    subjects = [line.split()[:2] for line in done.stdout.splitlines()]
    assert subjects == [["ok", s] for s in ("root", "jar", "master", "workers", "job")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_stage_gives_the_same_bytes_on_spark(
    cluster: Cluster, local: Path, tmp_path: Path, verb: str
) -> None:
    order = list(FOLDERS)
    before = [FOLDERS[earlier] for earlier in order[: order.index(verb)]]
    root = link(local, tmp_path / "run", ["site", *before])

    run(verb, root, cluster.beam_options)

    assert content(root / FOLDERS[verb]) == content(local / FOLDERS[verb])


def test_the_hostile_web_gives_the_same_bytes_on_spark(cluster: Cluster, tmp_path: Path) -> None:
    with serve(all_cases()) as web:
        rounds = HostileRounds(web, tmp_path)
        local = rounds.new_root("local")
        rounds.fetch(local)
        root = rounds.new_root("spark")

        rounds.fetch(root, "--", *cluster.beam_options)

        assert rounds.misjudged(root, DAY) == []
        assert bytes_below(root / "shards") == bytes_below(local / "shards")


@pytest.mark.parametrize("kind", [name for name in SOURCES if name != "site"])
def test_each_source_gives_the_same_bytes_on_spark(
    cluster: Cluster, tmp_path: Path, kind: str
) -> None:
    given = tmp_path / "in"
    given.mkdir()
    settings = {"harvest": {"source": dict(SOURCES[kind](given)), "num_files": 3}}
    (tmp_path / "pipelines.json").write_text(json.dumps({"p": settings}))

    harvest = [sys.executable, "-m", "openalign", "harvest", "p"]
    harvest += ["--config", str(tmp_path / "pipelines.json")]
    for root, options in (("local", []), ("spark", ["--", *cluster.beam_options])):
        done = subprocess.run(
            [*harvest, "--set", f"root={tmp_path / root}", *options],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in ENDS, done.stderr[-3000:]

    found = content(tmp_path / "local" / "candidates")
    assert found
    assert content(tmp_path / "spark" / "candidates") == found


def test_executors_killed_in_the_middle_of_filter_change_nothing(
    cluster: Cluster, local: Path, tmp_path: Path
) -> None:
    root = link(local, tmp_path / "run", ["site", "candidates"])
    with started_job("filter", root, cluster.beam_options) as job:
        # Once while it counts, and once while it judges and writes.
        for begun in ("*/counts-*.u64", "kept-*"):
            wait_for_file(job, root, f".filtered*/{begun}")
            executors = cluster.executors()
            for executor in executors:
                os.kill(executor, signal.SIGKILL)
            assert executors or job.poll() is not None
        finish(job, "filter", root, cluster.beam_options)
    assert content(root / "filtered") == content(local / "filtered")


def test_a_worker_pool_killed_in_the_middle_of_fetch_changes_nothing(
    cluster: Cluster, local: Path, tmp_path: Path
) -> None:
    root = link(local, tmp_path / "run", ["site", "candidates", "filtered"])
    with started_job("fetch", root, cluster.beam_options) as job:
        wait_for_file(job, root, ".shards*/shard-*.tar")

        cluster.kill_pool()
        cluster.start_pool()

        finish(job, "fetch", root, cluster.beam_options)
    assert content(root / "shards") == content(local / "shards")


def test_an_interrupted_stage_takes_its_job_off_the_cluster_and_goes_on_later(
    cluster: Cluster, local: Path, tmp_path: Path
) -> None:
    root = link(local, tmp_path / "run", ["site", "candidates", "filtered"])
    with started_job("fetch", root, cluster.beam_options) as job:
        wait_for_file(job, root, ".shards*/shard-*.tar")
        job.send_signal(signal.SIGINT)
        job.communicate()
        assert job.returncode == 130

    wait_for(lambda: not cluster.executors(), "the end of the job")
    run("fetch", root, cluster.beam_options)
    assert content(root / "shards") == content(local / "shards")


def test_the_jobs_above_left_no_file_behind(temporary_folder: Path) -> None:
    assert [p.name for p in temporary_folder.iterdir() if "apache-beam" not in p.name] == []
