"""Filter and fetch on one worker and on two: in processes of this machine, and on Spark.

    .venv/bin/python benchmarks/scaling.py            the local runner
    .venv/bin/python benchmarks/scaling.py --spark    Spark too; once make test-spark has run

The same work everywhere: a generated corpus of Zipf captions for filter, and for fetch noisy JPEG
images of 640 x 480 on 16 hosts, which are one server of this machine under 16 names. A row is a
way to run; `fixed` is a job of one element, `x` the gain over one worker of the same kind, first as
it is and then without the fixed part. The output must be the same bytes each time.
"""

import argparse
import hashlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filter import generate

from openalign.telemetry import set_up_logging

NUM_HOSTS = 16
Way = tuple[str, AbstractContextManager[list[str]]]
REPOSITORY = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="captions for filter")
    parser.add_argument("--images", type=int, default=4_000, help="images for fetch")
    parser.add_argument("--spark", action="store_true", help="run a Spark cluster too")
    options = parser.parse_args()
    set_up_logging()
    with (
        tempfile.TemporaryDirectory() as folder,
        images_served(Path(folder), options.images) as connect_to,
    ):
        work = Path(folder)
        (work / "corpus").mkdir()
        generate(work / "corpus", options.rows)
        print("| on | fixed | filter | x | fetch | x |\n|---|---|---|---|---|---|")
        race = Race(work, connect_to)
        for kind, ways in (("local", local_ways()), ("Spark", spark_ways(work))):
            if kind == "local" or options.spark:
                for label, way in ways:
                    with way as beam_options:
                        race.show(f"{kind}, {label}", beam_options)


class Race:
    """Runs the work in one way after the other and remembers the first of each kind."""

    def __init__(self, work: Path, connect_to: dict[str, str]) -> None:
        self._work = work
        self._connect_to = connect_to
        self._one_worker: dict[str, list[float]] = {}
        self._digest = ""

    def show(self, label: str, beam_options: Sequence[str]) -> None:
        """Print a row."""
        from openalign.engines.doctor import preflight

        out = self._work / label.replace(", ", "-").replace(" ", "-")
        out.mkdir()
        start = time.monotonic()
        tried = preflight.try_job(beam_options, str(out))
        fixed = time.monotonic() - start
        assert not tried.problem, tried.problem
        filtered = timed(lambda: run_filter(self._work, out, beam_options))
        fetched = timed(lambda: run_fetch(self._work, out, beam_options, self._connect_to))
        digest = digest_of(out)
        assert self._digest in ("", digest), f"{label} made other bytes"
        self._digest = digest
        seconds = [fixed, filtered, fetched]
        base = self._one_worker.setdefault(label.partition(",")[0], seconds)
        cells = [f"{fixed:.0f} s"]
        # Filter is two jobs.
        for number, num_jobs in ((1, 2), (2, 1)):
            less = [max(1.0, s[number] - num_jobs * s[0]) for s in (base, seconds)]
            gains = f"{base[number] / seconds[number]:.2f}, {less[0] / less[1]:.2f}"
            cells += [f"{seconds[number]:.0f} s", gains]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def local_ways() -> Generator[Way]:
    """Yield the local runner with one process and with two."""
    for number in (1, 2):
        yield (
            f"{number} worker" + "s" * (number > 1),
            given(["--direct_running_mode=multi_processing", f"--direct_num_workers={number}"]),
        )


def spark_ways(work: Path) -> Generator[Way]:
    """Yield Spark with one worker and with two, of one core each; the driver has its own."""
    for number, cores in ((1, (2,)), (2, (2, 1))):
        yield f"{number} worker" + "s" * (number > 1), spark(work / f"cluster-{number}", cores)


@contextmanager
def given(beam_options: list[str]) -> Generator[list[str]]:
    yield beam_options


@contextmanager
def spark(folder: Path, cores: Sequence[int]) -> Generator[list[str]]:
    """Yield the options for a cluster of this machine."""
    sys.path += [str(REPOSITORY / "tests"), str(REPOSITORY / "tests" / "spark")]
    from spark_cluster import started

    built = REPOSITORY / ".venv" / "job-server" / "spark-job-server.jar"
    jar = Path(os.environ.get("OPENALIGN_SPARK_JOB_SERVER_JAR", built)).absolute()
    folder.mkdir()
    python = Path(sys.executable).absolute()
    with started(folder, pool_python=python, jar=jar, cores=cores) as cluster:
        yield cluster.beam_options


# The work -----------------------------------------------------------------------------------------


@contextmanager
def images_served(work: Path, number: int) -> Generator[dict[str, str]]:
    """Serve images under 16 names, and write the candidates that point at them."""
    import numpy as np
    import polars as pl
    from candidates_made import as_candidates
    from PIL import Image

    from openalign.demo import server as site_server
    from openalign.files.hashing import candidate_key
    from openalign.files.tables import write_table

    www = work / "www"
    www.mkdir()
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (64, 12, 16, 3), np.uint8)
    for n, colors in enumerate(coarse):  # a photograph's size in bytes: smooth, and some noise
        smooth = np.asarray(Image.fromarray(colors).resize((640, 480), Image.Resampling.BICUBIC))
        noisy = np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
        sink = io.BytesIO()
        Image.fromarray(noisy).save(sink, "JPEG", quality=85)
        (www / f"{n}.jpg").write_bytes(sink.getvalue())
    urls = [f"http://host{n % NUM_HOSTS}.example/{n % 64}.jpg?{n}" for n in range(number)]
    text = "a picture of noise"
    rows = pl.DataFrame(
        {"key": [candidate_key(url, text) for url in urls], "image_url": urls}
    ).with_columns(
        alt_text=pl.lit(text),
        page_url=pl.lit("http://pages.example/"),
        found_in=pl.lit("img_alt"),
        raw_image_url=pl.col("image_url"),
        page_language=pl.lit("en"),
    )
    write_table(str(work), "kept-0.parquet", as_candidates(rows.sort("key")))
    with site_server.serve(str(www), host="host0.example") as connect_to:
        address = connect_to["host0.example"]
        yield {f"host{n}.example": address for n in range(NUM_HOSTS)}


def run_filter(work: Path, out: Path, beam_options: Sequence[str]) -> None:
    from openalign.engines.jobs import run_jobs
    from openalign.filtering import text_filter
    from openalign.filtering.config import FilterConfig, TextRules
    from openalign.filtering.thresholds import MinCount

    jobs = text_filter.jobs(
        FilterConfig(text=TextRules(languages=(), frequent=MinCount(at_least=3)), count_buckets=64),
        candidates=sorted(map(str, (work / "corpus").iterdir())),
        output=str(out / "filtered"),
        work=str(out / "filter-work"),
    )
    run_jobs(jobs, work=str(out / "filter-work"), beam_options=beam_options)


def run_fetch(
    work: Path, out: Path, beam_options: Sequence[str], connect_to: dict[str, str]
) -> None:
    from openalign.engines.jobs import run_jobs
    from openalign.ingest import fetch
    from openalign.ingest.config import FetchConfig
    from openalign.ingest.fetching.setup import FetchSetup
    from openalign.ingest.web.config import WebConfig

    web = WebConfig(
        contact="https://example.org",
        requests_per_second=1e6,
        connections_per_host=8,
        allowed_networks=("127.0.0.0/8",),
        connect_to=connect_to,
    )
    setup = FetchSetup(
        config=FetchConfig(num_buckets=8, images_per_shard=500),
        images_from=web,
        output=str(out / "shards"),
        work=str(out / "fetch-work"),
    )
    jobs = fetch.jobs(setup, kept=[str(work / "kept-0.parquet")])
    run_jobs(jobs, work=str(out / "fetch-work"), beam_options=beam_options)


def timed(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def digest_of(out: Path) -> str:
    digest = hashlib.sha256()
    for folder in ("filtered", "shards"):
        for path in sorted((out / folder).iterdir()):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
