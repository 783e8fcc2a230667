"""Stages a job for Dataflow as far as the service, offline, and reads what was staged.

Three functions of Beam's would ask Google for something; `_without_google` is the one place that
knows them.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any
from unittest import mock

from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.portability.api import beam_runner_api_pb2 as beam_api
from apache_beam.runners.dataflow.internal import apiclient

IMAGE = "registry.example/openalign-beam:1"
DATAFLOW = (
    "--runner=DataflowRunner",
    "--project=some-project",
    "--region=europe-west4",
    "--temp_location=gs://some-bucket/tmp",
    f"--sdk_container_image={IMAGE}",
)
_TEMPLATE = ("--template_location=gs://some-bucket/template.json", "--no_auth")

_SHUFFLES = (
    "beam:transform:group_by_key:v1",
    "beam:transform:reshuffle:v1",
    "beam:transform:combine_per_key:v1",
    "beam:transform:combine_globally:v1",
)


@dataclass
class StagedJob:
    """What would lie in the bucket."""

    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def graph(self) -> bytes:
        """The file that the service reads the job from."""
        return self.files["pipeline.pb"]

    @property
    def pipeline(self) -> beam_api.Pipeline:
        """The same, read by Beam's own class."""
        return beam_api.Pipeline.FromString(self.graph)


def stage_jobs(build: Callable[..., None]) -> list[StagedJob]:
    """Return the jobs that `build` sends to Dataflow when it is called with `beam_options`."""
    with _without_google() as jobs:
        build(beam_options=(*DATAFLOW, *_TEMPLATE))
    return jobs


def crossing_coders(pipeline: beam_api.Pipeline) -> dict[str, set[str]]:
    """Return the coders of what crosses a shuffle or is a side input, by transform.

    A pickled coder is one of Python's own, whatever it does; a coder of several parts is there with
    all of them.
    """
    components = pipeline.components
    found: dict[str, set[str]] = {}
    for transform in components.transforms.values():
        crossing = set(_side_inputs(transform))
        if transform.spec.urn in _SHUFFLES:
            crossing |= {*transform.inputs.values(), *transform.outputs.values()}
        coders = {
            urn
            for name in crossing
            for urn in _coder_urns(components, components.pcollections[name].coder_id)
        }
        if coders:
            found[transform.unique_name] = coders
    return found


def _side_inputs(transform: beam_api.PTransform) -> Iterator[str]:
    if transform.spec.urn == "beam:transform:pardo:v1":
        payload = beam_api.ParDoPayload.FromString(transform.spec.payload)
        yield from (transform.inputs[tag] for tag in payload.side_inputs)


def _coder_urns(components: beam_api.Components, coder_id: str) -> Iterator[str]:
    coder = components.coders[coder_id]
    yield coder.spec.urn
    for part in coder.component_coder_ids:
        yield from _coder_urns(components, part)


@contextmanager
def _without_google() -> Generator[list[StagedJob]]:
    jobs: list[StagedJob] = []

    def stage_file(
        _client: Any, _folder: str, name: str, stream: IO[bytes], *_args: Any, **_more: Any
    ) -> None:
        if not jobs or name in jobs[-1].files:
            jobs.append(StagedJob())
        jobs[-1].files[name] = stream.read()

    client = apiclient.DataflowApplicationClient
    with (
        mock.patch.object(
            GoogleCloudOptions, "_warn_if_soft_delete_policy_enabled", return_value=None
        ),
        mock.patch.object(apiclient, "create_storage_client", return_value=None),
        mock.patch.object(client, "stage_file", stage_file),
    ):
        yield jobs
