"""The fetch stage when something of ours is gone: nothing is sealed, and a rerun goes on."""

import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from faulty_web import HOST, SITE, Reply, Web, serve
from fetches import bytes_of, config_of, image, image_file, ledger_of, row, rows_of, run
from local_ports import free_port
from patience import wait_for

from openalign.errors import StageError
from openalign.files.hashing import image_key
from openalign.ingest.config import FetchConfig

NUM_IMAGES = 20


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({f"/{n}.png": image(n) for n in range(NUM_IMAGES)}) as running:
        yield running


@contextmanager
def site_served(folder: Path) -> Generator["tuple[subprocess.Popen[str], str]"]:
    """Serve a folder as a run serves its own site; yield the server and its address."""
    command = [sys.executable, "-m", "openalign.demo.server", str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server, f"127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


def reaching(web: Web, address: str, requests_per_second: float = 10_000.0) -> FetchConfig:
    asked = web.download(
        connect_to={HOST: address}, num_retries=1, requests_per_second=requests_per_second
    )
    return config_of(web, web=asked)


@pytest.mark.distributed
@pytest.mark.slow
def test_a_site_that_goes_in_the_middle_of_a_fetch_leaves_no_trace(
    web: Web, tmp_path: Path
) -> None:
    www, out = tmp_path / "www", tmp_path / "out"
    www.mkdir()
    for number in range(NUM_IMAGES):
        (www / f"{number}.png").write_bytes(image_file(number))
    rows = rows_of([SITE], NUM_IMAGES)
    with site_served(www) as (_, address):
        whole = run(reaching(web, address), rows, tmp_path / "whole")

    with site_served(www) as (server, address):

        def end_site() -> None:
            wait_for(lambda: any(out.glob("ledger-*")), "the first shard")
            server.kill()

        killer = threading.Thread(target=end_site)
        killer.start()
        # 7 images a shard: the first is there after a second, the last after two more.
        with pytest.raises(StageError, match=f"nothing listens at {address}, where {HOST} is"):
            run(reaching(web, address, requests_per_second=7.0), rows, out)
        killer.join()
    assert 1 <= len(list(out.glob("ledger-*"))) < 3
    assert ledger_of(out)["state"].unique().to_list() == ["fetched"]

    with site_served(www) as (_, address):
        resumed = run(reaching(web, address), rows, out)
    assert asdict(resumed) == asdict(whole)
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_a_worker_that_outlives_its_job_seals_nothing(web: Web, tmp_path: Path) -> None:
    rows = rows_of([SITE], NUM_IMAGES)
    whole = run(config_of(web), rows, tmp_path / "whole")
    out = tmp_path / "out"
    tenth = sorted((f"/{n}.png" for n in range(NUM_IMAGES)), key=lambda p: image_key(SITE + p))[9]
    good = web.routes[tenth]

    def end_job(_: BaseHTTPRequestHandler) -> Reply:
        wait_for(lambda: any(out.glob("ledger-*")), "the first shard's end")
        for attempt in (out / "work").glob("fetched.attempt-*"):
            attempt.unlink()
        return Reply(status=404)

    web.routes[tenth] = end_job  # of the second shard of three
    with pytest.raises(StageError, match="the job that this worker belongs to has ended"):
        run(config_of(web), rows, out)
    assert sorted({name.partition(".")[0][-5:] for name in bytes_of(out)}) == ["00000"]
    assert not any((out / "work").glob("fetched*"))

    web.routes[tenth] = good
    assert asdict(run(config_of(web), rows, out)) == asdict(whole)
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_a_dead_host_is_sealed_beside_one_that_answers(web: Web, tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}/x.png"
    rows = [row(dead, "a cat"), row(f"{SITE}/1.png", "a cat"), row("http://a.invalid/", "a cat")]

    run(config_of(web, num_buckets=1), rows, tmp_path / "out")

    states = dict(ledger_of(tmp_path / "out").select("image_url", "state").iter_rows())
    assert states == {
        dead: "connect_failure",
        f"{SITE}/1.png": "fetched",
        "http://a.invalid/": "dns_failure",
    }
