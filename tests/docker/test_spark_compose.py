from typing import Any

import pytest
import yaml
from dockerfiles import ROOT, pins

FILE = ROOT / "docker/spark/compose.yaml"
WORKERS = ("spark-worker-1", "spark-worker-2")
POOLS = ("beam-pool-1", "beam-pool-2")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]


def test_the_cluster_is_a_master_two_workers_and_a_pool_beside_each(
    services: dict[str, Any],
) -> None:
    always = [name for name, service in services.items() if not service.get("profiles")]

    assert always == ["spark-master", *WORKERS, *POOLS]


def test_each_pool_is_in_the_network_of_its_worker(services: dict[str, Any]) -> None:
    networks = [services[pool]["network_mode"] for pool in POOLS]

    assert networks == [f"service:{worker}" for worker in WORKERS]
    assert all(services[pool]["command"] == ["--worker_pool"] for pool in POOLS)


def test_all_run_spark_of_one_pinned_version_of_the_line_that_beam_works_with(
    services: dict[str, Any],
) -> None:
    (image,) = {services[name]["image"] for name in ("spark-master", *WORKERS)}
    name, _, tag = image.partition(":")

    assert name == "apache/spark"
    assert tag.startswith("3.5.")
    assert "-java17-" in tag
    assert "scala2.12" in tag  # Beam's jar is built for it


def test_the_master_takes_jobs_over_rest(services: dict[str, Any]) -> None:
    options = services["spark-master"]["environment"]["SPARK_MASTER_OPTS"]

    assert options == "-Dspark.master.rest.enabled=true"


def test_no_port_but_the_masters_page_is_open_and_that_to_this_machine_alone(
    services: dict[str, Any],
) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert ports == {"spark-master": ["127.0.0.1:8080:8080"]}


def test_java_is_opened_to_beam_wherever_its_runner_may_run(services: dict[str, Any]) -> None:
    from apache_beam.runners.portability.spark_runner import SPARK_JAR_JOB_SERVER_JVM_ARGS

    for name in ("spark-master", *WORKERS):
        options = services[name]["environment"]["JDK_JAVA_OPTIONS"].split()
        assert set(SPARK_JAR_JOB_SERVER_JVM_ARGS) < set(options)


def test_all_see_one_folder_under_one_name(services: dict[str, Any]) -> None:
    for service in services.values():
        (volume,) = service["volumes"]
        assert volume["target"] == "/data"
        assert volume["source"].startswith("${OPENALIGN_DATA:?")


def test_each_is_looked_after(services: dict[str, Any]) -> None:
    assert all("healthcheck" in services[name] for name in ("spark-master", *WORKERS, *POOLS))


def test_the_tests_on_a_real_cluster_run_the_same_line() -> None:
    assert pins()["pyspark"].startswith("3.5.")
