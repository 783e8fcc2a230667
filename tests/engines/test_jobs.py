"""How a stage's jobs are run: markers, attempts, and what `finish` is called with."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from openalign.engines import jobs
from openalign.engines.jobs import Attempt, EndedJob, Job, Jobs, run_jobs
from openalign.engines.parts import Note, Part, Summary
from openalign.errors import StageError
from openalign.files import storage
from openalign.files.manifest import DataFile, StageResult


class Seen(Note, frozen=True, kw_only=True):
    """A note of these tests."""

    number: int


class Other(Note, frozen=True, kw_only=True):
    """Another kind of note."""

    text: str


def line_of(number: int) -> str:
    notes = [Seen(number=number), Other(text="x")]
    return Part(counts={"rows": number}, notes=notes).to_json()


def job(name: str, *numbers: int, **more: Any) -> Job:
    def build(pipeline: beam.Pipeline, _: Attempt) -> Any:
        return pipeline | beam.Create(list(numbers)) | beam.Map(line_of).with_output_types(str)

    return Job(name=name, build=build, **more)


def result_of(*ended: EndedJob) -> StageResult:
    rows = sum(e.summary.counts["rows"] for e in ended)
    files = [file for e in ended for file in e.files]
    return StageResult(num_inputs=rows, states={"kept": rows}, num_outputs=rows, files=files)


def test_a_result_is_made_of_what_every_job_told(tmp_path: Path) -> None:
    stage = Jobs(jobs=[job("first", 1, 2), job("second", 4)], collect=result_of)

    assert run_jobs(stage, work=str(tmp_path)).num_inputs == 7


def test_notes_come_back_as_their_kind(tmp_path: Path) -> None:
    found: list[list[Seen]] = []

    def collect(ended: EndedJob) -> StageResult:
        found.append(ended.summary.notes(Seen))
        return result_of(ended)

    run_jobs(Jobs(jobs=[job("only", 3, 5)], collect=collect), work=str(tmp_path))

    assert found == [[Seen(number=3), Seen(number=5)]]


def test_a_job_that_is_told_something_else_runs_again(tmp_path: Path) -> None:
    told: list[str] = []

    def run_told(what: str) -> None:
        def finish(_: Summary) -> list[DataFile]:
            told.append(what)
            return []

        stage = Jobs(jobs=[job("only", 1, told=what, finish=finish)], collect=result_of)
        run_jobs(stage, work=str(tmp_path))

    for what in ("one", "one", "other", "one"):
        run_told(what)

    assert told == ["one", "other", "one"]


def test_a_job_that_has_ended_is_not_run_again_and_keeps_what_finish_wrote(
    tmp_path: Path,
) -> None:
    finished: list[int] = []

    def finish(summary: Summary) -> list[DataFile]:
        finished.append(summary.counts["rows"])
        written = storage.write_text(str(tmp_path / "set"), "abc")
        return [DataFile.of("set", written, num_rows=1)]

    def fail(_: EndedJob, __: EndedJob) -> StageResult:
        raise KeyboardInterrupt

    both = [job("first", 1, finish=finish), job("second", 2)]
    with pytest.raises(KeyboardInterrupt):
        run_jobs(Jobs(jobs=both, collect=fail), work=str(tmp_path))
    result = run_jobs(
        Jobs(jobs=[job("first", 100, finish=finish), job("second", 100)], collect=result_of),
        work=str(tmp_path),
    )

    assert finished == [1]
    assert result.num_inputs == 3
    assert [file.name for file in result.files] == ["set"]


def test_a_job_that_died_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = jobs.run_job

    def die(*_: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "run_job", die)
    with pytest.raises(KeyboardInterrupt):
        run_jobs(Jobs(jobs=[job("only", 1)], collect=result_of), work=str(tmp_path))
    monkeypatch.setattr(jobs, "run_job", real)

    assert run_jobs(Jobs(jobs=[job("only", 2)], collect=result_of), work=str(tmp_path))


def test_an_attempt_stands_while_its_job_runs_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Attempt] = []

    def build(pipeline: beam.Pipeline, attempt: Attempt) -> Any:
        seen.append(attempt)
        return pipeline | beam.Create([line_of(1)]) | beam.Map(str).with_output_types(str)

    def die(build: Any, _: Any) -> bool:
        build(beam.Pipeline())
        seen[-1].require()
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "run_job", die)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_jobs(
                Jobs(jobs=[Job(name="only", build=build)], collect=result_of), work=str(tmp_path)
            )

    assert seen[0] != seen[1]
    for attempt in seen:
        with pytest.raises(StageError, match="the job that this worker belongs to has ended"):
            attempt.require()


def test_a_new_attempt_ends_the_ones_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zombie = Attempt(str(tmp_path / "only.attempt-0"))  # its process was killed
    storage.write_text(zombie.url, "")
    zombie.require()

    def look(*_: Any) -> bool:
        with pytest.raises(StageError):
            zombie.require()
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "run_job", look)
    with pytest.raises(KeyboardInterrupt):
        run_jobs(Jobs(jobs=[job("only", 1)], collect=result_of), work=str(tmp_path))


def test_a_worker_whose_attempt_is_over_writes_no_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = jobs.run_job

    def outlive(build: Any, options: Any) -> bool:
        [attempt] = tmp_path.glob("only.attempt-*")
        attempt.unlink()
        return real(build, options)

    monkeypatch.setattr(jobs, "run_job", outlive)
    with pytest.raises(StageError, match="the job that this worker belongs to has ended"):
        run_jobs(Jobs(jobs=[job("only", 1)], collect=result_of), work=str(tmp_path))

    assert not (tmp_path / "only.jsonl").exists()
