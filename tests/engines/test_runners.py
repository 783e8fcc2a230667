import apache_beam as beam
import pytest

from openalign.engines.runners import run_job
from openalign.errors import ConfigError, InputError


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


def test_a_users_mistake_found_in_a_worker_stays_one() -> None:
    def refuse(_: int) -> None:
        raise InputError("a.tar is broken", hint="fetch it again")

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([1]) | beam.Map(refuse)

    with pytest.raises(InputError) as caught:
        run_job(build, [])

    # As it was raised, without what Beam adds to the message and takes from the rest.
    assert (str(caught.value), caught.value.hint) == ("a.tar is broken", "fetch it again")
