"""Images a CPU second: this project's fetch against img2dataset, http and https, from this machine.

    .venv/bin/python benchmarks/fetch_engines.py                      after `make img2dataset`
    .venv/bin/python benchmarks/fetch_engines.py --repeat 1 --images 200 --large-images 60

A server in a process of its own, whose CPU time is not counted, sends JPEGs of quality 85 from
memory: noise with a photograph's spectrum. Each contestant stores them with a short side of 346 px
as JPEGs of quality 90, with the sha256 of the original, in webdataset tars:

    ours     the fetch stage, with robots.txt, opt-outs, perceptual hash, index and ledger
    theirs   img2dataset 1.47.0 as it comes, one process, 64 threads
    engine   the fetch stage with `engine: img2dataset`

Over https the server closes each connection behind its answer, and the contestants, without the
`engine`, trust the system's certificates and the server's.

A contestant runs in processes of its own on one core, and all of their CPU time counts. It runs
twice, for all images and for a tenth of them: the difference leaves out what it costs to start.
Contestants take turns; ratios are of one turn, and the median of all turns is printed. Every image
must have been stored before a rate is printed.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import polars as pl
import pyarrow as pa
from noise_photographs import jpeg_of, photograph

ROOT = Path(__file__).parents[1]
PYTHON = os.environ.get(
    "OPENALIGN_IMG2DATASET_PYTHON", str(ROOT / ".venv-img2dataset" / "bin" / "python")
)
NAME = "localhost"  # a certificate is for a name
CONNECTIONS = 64
DISTINCT = 16
CONTESTANTS = ("ours", "theirs", "engine")

_THEIRS = """
from img2dataset import download
if __name__ == "__main__":
    download(
        url_list={table!r}, input_format="parquet", url_col="image_url", caption_col="alt_text",
        output_folder={folder!r}, output_format="webdataset", processes_count=1,
        thread_count={threads}, image_size=346, resize_mode="keep_ratio",
        resize_only_if_bigger=True, encode_quality=90, extract_exif=False, timeout=60,
    )
"""


def serve(bodies: list[bytes], core: int, ready: Connection, *, is_secure: bool) -> None:
    """Send body N % len(bodies) for /N.jpg, and 404 for all else.

    With `is_secure` over TLS, a connection for each answer. Sends its port, and the certificate by
    which it is trusted.
    """
    from openalign.hostile_web.certificates import Certificate, Certificates

    os.sched_setaffinity(0, {core})
    closes = b"Connection: close\r\n" if is_secure else b""
    found = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n" + closes
    answers = [found + _rest(body) for body in bodies]
    missing = b"HTTP/1.1 404 Not Found\r\n" + closes + _rest(b"")
    certificates = Certificates([NAME])
    tls = certificates.server_context(lambda _: Certificate.GOOD) if is_secure else None

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                path = request.split(b" ", 2)[1]
                is_image = path.endswith(b".jpg")
                writer.write(answers[int(path[1:-4]) % len(answers)] if is_image else missing)
                await writer.drain()
                if is_secure or b"connection: close" in request.lower():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def forever() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024, ssl=tls)
        ready.send((server.sockets[0].getsockname()[1], certificates.pem))
        await server.serve_forever()

    asyncio.run(forever())


def _rest(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def write_table(path: Path, base: str, num_images: int) -> None:
    from openalign.files.hashing import candidate_key
    from openalign.files.schemas import CANDIDATE
    from openalign.files.tables import write_table

    rows = [
        {
            "key": candidate_key(url, f"image {number}"),
            "image_url": url,
            "alt_text": f"image {number}",
            "found_in": "table",
            "raw_image_url": url,
        }
        for number in range(num_images)
        for url in [f"{base}/{number}.jpg"]
    ]
    write_table(str(path.parent), path.name, pa.Table.from_pylist(rows, schema=CANDIDATE))


def fetch(table: Path, folder: Path, *, engine: str) -> int:
    """Run the fetch stage and return how many images were fetched."""
    from openalign.engines.jobs import run_jobs
    from openalign.ingest import fetch
    from openalign.ingest.config import FetchConfig
    from openalign.ingest.fetching.setup import FetchSetup
    from openalign.ingest.web.config import WebConfig

    is_ours = engine == "ours"
    web = WebConfig(
        contact="benchmark@example.org",
        requests_per_second=1e6,
        connections=CONNECTIONS,
        connections_per_host=CONNECTIONS,
        respect_robots=is_ours,
        ask_tdmrep=is_ours,
        allowed_networks=("127.0.0.0/8",),
        ca_file=os.environ.get("SSL_CERT_FILE", ""),
    )
    config = FetchConfig(
        web=web,
        engine="openalign" if is_ours else "img2dataset",
        img2dataset_python=PYTHON,
        num_buckets=1,
    )
    work = str(folder / "work")
    setup = FetchSetup(config=config, images_from=web, output=str(folder / "out"), work=work)
    jobs = fetch.jobs(setup, kept=[str(table)])
    return run_jobs(jobs, work=work, beam_options=[]).states["fetched"]


def cpu_seconds(
    contestant: str, table: Path, folder: Path, num_images: int, *, ca_file: str = ""
) -> float:
    """Run a contestant and return the CPU time of all its processes."""
    folder.mkdir()
    if contestant == "theirs":
        out = folder / "out"
        script = folder / "theirs.py"
        words = {"table": str(table), "folder": str(out), "threads": CONNECTIONS}
        script.write_text(_THEIRS.format(**words), encoding="utf-8")
        command = [PYTHON, "-I", str(script)]
    else:
        command = [sys.executable, __file__, "--client", contestant, str(table), str(folder)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "NO_ALBUMENTATIONS_UPDATE": "1",
            **({"SSL_CERT_FILE": ca_file} if ca_file else {}),
        },
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{contestant} failed\n{done.stderr}")
    if contestant == "theirs":
        ended = pl.read_parquet(folder / "out" / "*.parquet")["status"].value_counts()
        num_stored = dict(ended.iter_rows()).get("success", 0)
    else:
        num_stored = json.loads(done.stdout.splitlines()[-1])
    assert num_stored == num_images, f"{contestant} stored {num_stored} of {num_images} images"
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@contextmanager
def server(bodies: list[bytes], core: int, *, is_secure: bool) -> Iterator[tuple[str, bytes]]:
    """Serve images while the block runs; yield where, and the certificate to trust."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("spawn")
    process = context.Process(
        target=serve, args=(bodies, core, sender), kwargs={"is_secure": is_secure}, daemon=True
    )
    process.start()
    port, certificate = receiver.recv()
    yield f"https://{NAME}:{port}" if is_secure else f"http://127.0.0.1:{port}", certificate
    process.terminate()
    process.join()


def compare(
    size: tuple[int, int], num_images: int, repeats: int, cores: list[int], *, is_secure: bool
) -> None:
    """Print rates and ratios for images of one size."""
    from openalign.ingest.web.transfers.certificates import trusted

    bodies = [jpeg_of(photograph(size, seed)) for seed in range(DISTINCT)]
    few = max(1, num_images // 10)
    names = CONTESTANTS[:2] if is_secure else CONTESTANTS
    per_image: dict[str, list[float]] = {name: [] for name in names}
    of_system = Path(trusted("").file).read_bytes() if is_secure else b""
    with (
        tempfile.TemporaryDirectory(prefix="openalign-bench-") as scratch,
        server(bodies, cores[-1], is_secure=is_secure) as (base, certificate),
    ):
        folder = Path(scratch)
        bundle = folder / "certificates.pem"
        bundle.write_bytes(of_system + certificate)
        ca_file = str(bundle) if is_secure else ""
        tables = {count: folder / f"kept-{count}.parquet" for count in (few, num_images)}
        for count, table in tables.items():
            write_table(table, base, count)
        for turn in range(repeats):
            for name in names:
                took = {
                    count: cpu_seconds(
                        name, table, folder / f"{name}-{turn}-{count}", count, ca_file=ca_file
                    )
                    for count, table in tables.items()
                }
                per_image[name].append((took[num_images] - took[few]) / (num_images - few))
    kilobytes = sum(map(len, bodies)) / len(bodies) / 1000
    how = (
        f"https, {(of_system + certificate).count(b'BEGIN CERT')} certificates"
        if is_secure
        else "http"
    )
    print(f"\n{size[0]} x {size[1]} px, {kilobytes:.0f} kB, {num_images} images, {how}")
    show(per_image)


def show(per_image: dict[str, list[float]]) -> None:
    """Print the CPU seconds of an image, by contestant, and ratios."""
    for name, costs in per_image.items():
        median = statistics.median(costs)
        ratios = [t / mine for t, mine in zip(per_image["theirs"], costs, strict=True)]
        turns = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(
            f"{name:8}{1 / median:8.0f} images a CPU second{1000 * median:8.2f} ms an image, "
            f"{statistics.median(ratios):.2f} of theirs ({turns})",
            flush=True,
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Fetch: images a CPU second.")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--images", type=int, default=1500, help="of 640 px")
    parser.add_argument("--large-images", type=int, default=400, help="of 2000 px")
    parser.add_argument("--https-images", type=int, default=400, help="of 640 px")
    parser.add_argument("--only-https", action="store_true")
    parser.add_argument("--client", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        engine, table, folder = given.client
        print(json.dumps(fetch(Path(table), Path(folder), engine=engine)))
        return
    if not Path(PYTHON).exists():
        raise SystemExit(f"{PYTHON} is not there: `make img2dataset` makes it")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})  # of the contestants, too
    if not given.only_https:
        compare((640, 480), given.images, given.repeat, cores, is_secure=False)
        compare((2000, 1500), given.large_images, given.repeat, cores, is_secure=False)
    compare((640, 480), given.https_images, given.repeat, cores, is_secure=True)


if __name__ == "__main__":
    main()
