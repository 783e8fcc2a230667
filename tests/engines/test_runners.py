import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.runner import PipelineState
from patience import PATIENCE_SECONDS

from openalign.engines.runners import most_workers, run_job
from openalign.errors import ConfigError, InputError, StageError


def one(pipeline: beam.Pipeline) -> None:
    _ = pipeline | beam.Create([1])


def test_an_option_that_beam_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="--direct_num_worker=2 is not an option of Beam"):
        run_job(one, ["--direct_num_worker=2"])


def test_an_option_that_is_spelled_almost_right_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        run_job(one, ["--runner=SparkRunner", "--spark_job_sever_jar=a.jar"])

    assert caught.value.hint == "did you mean `--spark_job_server_jar`?"


@pytest.mark.parametrize("flag", ["--spark_rest_url=http://a:6066", "--environment_type=EXTERNAL"])
def test_an_option_of_a_cluster_does_not_go_unheard(flag: str) -> None:
    with pytest.raises(ConfigError, match="has no meaning for a job in this process") as caught:
        run_job(one, [flag])

    assert "--runner=SparkRunner" in str(caught.value.hint)


@pytest.mark.parametrize(
    "flags", [["--runner", "DirectRunner"], ["--runner=DirectRunner"], ["--runner=direct"]]
)
def test_the_runner_that_downloads_another_is_replaced(flags: list[str]) -> None:
    seen: list[str] = []

    def build(pipeline: beam.Pipeline) -> None:
        seen.append(type(pipeline.runner).__name__)
        _ = pipeline | beam.Create([1])

    run_job(build, flags)

    assert seen == ["FnApiRunner"]


@pytest.mark.parametrize(
    ("flags", "number"),
    [
        ([], 1),
        (["--direct_num_workers=3", "--direct_running_mode=multi_processing"], 3),
        (["--direct_num_workers=0"], os.cpu_count()),
        (["--runner=SparkRunner", "--direct_num_workers=3"], None),
    ],
    ids=["plain", "three", "all cores", "a cluster"],
)
def test_the_workers_of_this_machine_are_counted(flags: list[str], number: int | None) -> None:
    assert most_workers(flags) == number


def test_a_users_mistake_found_in_a_worker_stays_one() -> None:
    def refuse(_: int) -> None:
        raise InputError("a.tar is broken", hint="fetch it again")

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([1]) | beam.Map(refuse)

    with pytest.raises(InputError) as caught:
        run_job(build, [])

    # As it was raised, without what Beam adds to the message and takes from the rest.
    assert (str(caught.value), caught.value.hint) == ("a.tar is broken", "fetch it again")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device is always full")
def test_a_disk_that_a_worker_finds_full_is_told_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fill(_: int) -> None:
        Path("/dev/full").write_text("a shard")

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([1]) | beam.Map(fill)

    with pytest.raises(StageError, match=r"^a disk is full$"):
        run_job(build, [])
    assert [record for record in caplog.records if record.exc_info] == []


# A job on a cluster that is interrupted -----------------------------------------------------------


@dataclass
class Away:
    """A job on a cluster, and the pipeline that sends it there."""

    wait: Callable[[], None]
    """What happens while its end is waited for."""

    states: list[str | BaseException]
    """What the cluster says next, again and again in the end."""

    seen: list[str] = field(default_factory=list)

    def run(self) -> "Away":
        return self

    def wait_until_finish(self) -> None:
        self.wait()

    def cancel(self) -> None:
        self.seen.append("cancelled")

    @property
    def state(self) -> str:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        self.seen.append(str(state))
        if isinstance(state, BaseException):
            raise state
        return state


def send(monkeypatch: pytest.MonkeyPatch, job: Away) -> None:
    monkeypatch.setattr(beam, "Pipeline", lambda options: job)
    monkeypatch.setattr("openalign.engines.runners._POLL_SECONDS", 0.01)
    run_job(lambda _: None, ["--runner=SparkRunner"])


def interrupt() -> None:
    raise KeyboardInterrupt


def end_by_sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


@pytest.mark.parametrize(
    ("wait", "raised", "code"),
    [
        pytest.param(interrupt, KeyboardInterrupt, (), id="Ctrl-C"),
        pytest.param(end_by_sigterm, SystemExit, (143,), id="SIGTERM"),
    ],
)
def test_an_interrupted_job_has_ended_before_the_error_goes_on(
    monkeypatch: pytest.MonkeyPatch,
    wait: Callable[[], None],
    raised: type[BaseException],
    code: Sequence[int],
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    no_answer = OSError("the master is busy")
    job = Away(wait, [PipelineState.RUNNING, no_answer, PipelineState.CANCELLED])

    with pytest.raises(raised) as caught:
        send(monkeypatch, job)

    assert job.seen == ["cancelled", "RUNNING", "the master is busy", "CANCELLED"]
    assert caught.value.args == tuple(code)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_interrupt_does_not_wait_for_the_end_of_a_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = Away(interrupt, [PipelineState.RUNNING, KeyboardInterrupt("again"), "never asked"])

    with pytest.raises(KeyboardInterrupt, match="again"):
        send(monkeypatch, job)

    assert job.seen == ["cancelled", "RUNNING", "again"]


def test_a_job_that_does_not_end_is_waited_for_so_long_and_no_longer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("openalign.engines.runners._QUIET_SECONDS", 0.05)
    monkeypatch.setattr("openalign.engines.runners._CANCEL_SECONDS", 0.2)
    job = Away(interrupt, [PipelineState.RUNNING])

    with pytest.raises(KeyboardInterrupt):
        send(monkeypatch, job)

    said = capsys.readouterr().err.splitlines()
    assert said == [
        "waits for the job to end on its cluster; Ctrl-C ends the wait",
        "the job has not ended on its cluster after 0 s; see that it does",
    ]


def test_a_job_that_fails_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("Pipeline job failed in state FAILED")

    job = Away(fail, [PipelineState.FAILED])

    with pytest.raises(StageError, match="the job failed on SparkRunner"):
        send(monkeypatch, job)
    assert job.seen == []


# A job in this process that is interrupted --------------------------------------------------------

PIPELINES = """\
tables:
  description: "a table"
  harvest:
    source: {kind: table, path: t.csv}
"""

INTERRUPTED_ONCE = """\
import os, signal, sys
from openalign.cli import main
from openalign.ingest.sources.url_tables import table_reading

real = table_reading.canonical_urls

def interrupted(urls):
    os.kill(os.getpid(), signal.SIGINT)
    return real(urls)

if sys.argv[1] == "interrupt":
    table_reading.canonical_urls = interrupted
sys.exit(main(["harvest", "tables"]))
"""


def test_an_interrupted_stage_in_this_process_says_so_in_a_line_and_goes_on(
    tmp_path: Path,
) -> None:
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    (tmp_path / "t.csv").write_text("url,caption\nhttp://a.example/1.png,a cat\n")

    def harvest(how: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", INTERRUPTED_ONCE, how]
        return subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    first = harvest("interrupt")

    assert (first.returncode, first.stderr) == (
        130,
        "\nstopped; the same command goes on from here\n",
    )
    assert harvest("to the end").returncode == 0
