"""What Dataflow would be sent: every job of the data stages, staged offline."""

import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.portability.api import beam_runner_api_pb2 as beam_api
from small_run import VERBS
from staging import IMAGE, StagedJob, crossing_coders, stage_jobs

from openalign.engines.batches import ReadTables
from openalign.engines.jobs import build_jobs
from openalign.engines.runners import run_job
from openalign.files.schemas import FINGERPRINT
from openalign.filtering import selection
from openalign.filtering.config import SelectConfig
from openalign.run.config import load_pipeline
from openalign.run.contract import Run, StageSetup
from openalign.run.stages import STAGES

SERVICE_LIMIT_BYTES = 10 * 1024 * 1024
"""The largest job that the service takes."""

# Every runner knows these, in every language; bytes and text are themselves in them.
STANDARD = {
    f"beam:coder:{name}:v1"
    for name in ("kv", "iterable", "varint", "string_utf8", "bytes", "windowed_value")
}
NUM_JOBS = {"harvest": 1, "filter": 2, "fetch": 1, "select": 2}
JOBS = [
    *(("pairs", verb, number) for verb in VERBS for number in range(NUM_JOBS[verb])),
    ("crawl", "harvest", 0),
]
each_job = pytest.mark.parametrize(
    "job", JOBS, indirect=True, ids=lambda j: f"{j[0]}-{j[1]}-{j[2]}"
)


def staged(config: Path, pipeline: str, verb: str) -> list[StagedJob]:
    run, stage = Run(stages=STAGES, config=load_pipeline(str(config), pipeline)), STAGES[verb]
    output = config.parent / "out"
    setup = StageSetup(
        run=run, output=str(output), work=str(output / "work"), web=stage.web(run.config)
    )
    assert stage.jobs is not None
    return stage_jobs(partial(build_jobs, stage.jobs(setup), work=setup.work))


@pytest.fixture(scope="module")
def jobs(finished: Path) -> dict[tuple[str, str], list[StagedJob]]:
    places = {(pipeline, verb) for pipeline, verb, _ in JOBS}
    return {(pipeline, verb): staged(finished, pipeline, verb) for pipeline, verb in places}


@pytest.fixture
def job(jobs: dict[tuple[str, str], list[StagedJob]], request: pytest.FixtureRequest) -> StagedJob:
    pipeline, verb, number = request.param
    return jobs[pipeline, verb][number]


def test_every_job_of_a_stage_is_staged(jobs: dict[tuple[str, str], list[StagedJob]]) -> None:
    numbers = {place: len(found) for place, found in jobs.items()}

    assert numbers == {place: NUM_JOBS[place[1]] for place in numbers}
    assert sum(numbers.values()) == 7


@each_job
def test_nothing_is_pickled_on_its_way_to_another_worker(job: StagedJob) -> None:
    crossing = crossing_coders(job.pipeline)

    assert len(crossing) >= 2  # the files are spread, the summary is collected
    assert {name: coders - STANDARD for name, coders in crossing.items() if coders - STANDARD} == {}


@each_job
def test_every_key_has_one_encoding(job: StagedJob) -> None:
    components = job.pipeline.components
    shuffled = [
        components.pcollections[name]
        for transform in components.transforms.values()
        if transform.spec.urn == "beam:transform:group_by_key:v1"
        for name in transform.inputs.values()
    ]

    pairs = [components.coders[pcollection.coder_id] for pcollection in shuffled]
    keys = {components.coders[pair.component_coder_ids[0]].spec.urn for pair in pairs}

    assert keys <= {"beam:coder:varint:v1", "beam:coder:string_utf8:v1"}


@each_job
def test_no_collection_is_unbounded(job: StagedJob) -> None:
    pcollections = job.pipeline.components.pcollections.values()

    assert {p.is_bounded for p in pcollections} == {beam_api.IsBounded.BOUNDED}


@each_job
def test_workers_start_from_the_image_that_is_named_and_install_nothing(job: StagedJob) -> None:
    [environment] = job.pipeline.components.environments.values()

    image = beam_api.DockerPayload.FromString(environment.payload).container_image
    assert environment.urn == "beam:env:docker:v1"
    assert image == IMAGE
    assert list(job.pipeline.requirements) == []
    # No main session; where there is a pip, Beam adds a list of what is installed here.
    listed = "submission_environment_dependencies.txt"
    assert set(job.files) - {listed} == {"pipeline.pb", "template.json"}


@each_job
def test_a_job_is_far_below_the_services_limit(job: StagedJob) -> None:
    assert 10_000 < len(job.graph) < SERVICE_LIMIT_BYTES / 100


def test_a_hundred_thousand_files_fit_into_a_job() -> None:
    random = Random(1)
    folder = "gs://some-company-with-a-long-name/corpora/2026-10/alt-texts"
    urls = [f"{folder}/{uuid.UUID(int=random.getrandbits(128))}.parquet" for _ in range(100_000)]

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | ReadTables(urls)

    def send(beam_options: Sequence[str]) -> None:
        assert not run_job(build, beam_options)

    [job] = stage_jobs(send)

    assert len(urls[0]) == 105
    # 128 random bits cannot be told in less than 16 bytes.
    assert 16 * len(urls) < len(job.graph) < SERVICE_LIMIT_BYTES / 3


def test_images_that_are_held_out_do_not_travel_in_the_job(tmp_path: Path) -> None:
    def sizes(num_held_out: int) -> list[int]:
        rows = [
            {
                "name": f"{number}.jpg",
                "split": "test",
                "sha256": f"{number:064x}",
                "phash": f"{number:016x}",
            }
            for number in range(num_held_out)
        ]
        work = str(tmp_path / "work")
        jobs = selection.jobs(
            SelectConfig(),
            ledger=["gs://some-bucket/ledger-00000-00000.parquet"],
            held_out=pa.Table.from_pylist(rows, schema=FINGERPRINT),
            output=str(tmp_path),
            work=work,
        )
        return [len(job.graph) for job in stage_jobs(partial(build_jobs, jobs, work=work))]

    assert sizes(2000) == sizes(0)
