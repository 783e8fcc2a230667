"""Asks a Beam worker pool for its workers' versions: `python -m ...worker_probe POOL MARKER`.

    python -m openalign.engines.doctor.worker_probe localhost:50000 runs/demo/.marker

The probe is a separate process, because a pool that does not answer hangs its caller. It runs as
`__main__`, so `look` is pickled by value: the workers may lack this package.
"""

import json
import sys

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.transforms.environments import ExternalEnvironment


def look(marker: str) -> None:
    """Report this worker's versions, and whether it sees `marker`, as the name of a counter."""
    import json
    import sys
    from importlib.metadata import PackageNotFoundError, version

    from apache_beam.metrics import Metrics

    found: dict[str, object] = {"python": f"{sys.version_info[0]}.{sys.version_info[1]}"}
    for package in ("apache-beam", "openalign"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    if found["openalign"] is not None:
        from openalign.files import storage

        found["sees_root"] = storage.exists(marker)
    Metrics.counter("probe", json.dumps(found)).inc()


def ask_worker(pool: str, marker: str) -> dict[str, object]:
    """Return the answer of a worker of the pool `host:port`."""
    environment = ExternalEnvironment(pool)  # pyright: ignore[reportCallIssue]
    pipeline = beam.Pipeline(runner=FnApiRunner(default_environment=environment))
    _ = pipeline | beam.Create([marker], reshuffle=False) | beam.Map(look)
    counters = pipeline.run().metrics().query(MetricsFilter().with_namespace("probe"))["counters"]
    return json.loads(counters[0].key.metric.name)


if __name__ == "__main__":
    print(json.dumps(ask_worker(sys.argv[1], sys.argv[2])))  # noqa: T201  # the caller reads it
