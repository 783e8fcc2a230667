"""The memory of a fetch whose input grows tenfold over the same buckets; most images are gone.

    .venv/bin/python benchmarks/fetch_memory.py                        100,000 and 1,000,000 rows
    .venv/bin/python benchmarks/fetch_memory.py --rows 20000           a quick look

A server on loopback answers 404 to all but one of a hundred addresses, and those with a small PNG.
Each size is fetched by a process of its own on one core. Its peak is what the system says of it
when it ends (`ru_maxrss`), imports and Beam included; the server is another process. Every row is
asserted to be in a ledger, in the state that the server gave it.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NUM_HOSTS = 50
GROWTH = 10

_SERVER = """
import asyncio, base64, sys

IMAGE = base64.b64decode(sys.argv[1])
FOUND = b"HTTP/1.1 200 OK\\r\\nContent-Type: image/png\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(IMAGE)
GONE = b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\n\\r\\n"

class Answers(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.held = transport, b""

    def data_received(self, data):
        *requests, self.held = (self.held + data).split(b"\\r\\n\\r\\n")
        for request in requests:
            path = request.split(b" ", 2)[1]
            self.transport.write(FOUND + IMAGE if path.endswith(b"00.png") else GONE)

async def main():
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@contextmanager
def server() -> Iterator[str]:
    """Yield the address of a server in a process of its own."""
    import base64

    from PIL import Image

    sink = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 90)).save(sink, "PNG")
    command = [sys.executable, "-c", _SERVER, base64.b64encode(sink.getvalue()).decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        yield f"127.0.0.1:{running.stdout.readline().strip()}"
        running.kill()


def fetch_one(address: str, num_rows: int) -> None:
    """Fetch so many rows in this process, and print its peak and its states."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import pyarrow as pa

    from openalign.engines.jobs import run_jobs
    from openalign.files.hashing import candidate_key
    from openalign.files.schemas import CANDIDATE
    from openalign.files.tables import write_table
    from openalign.ingest import fetch
    from openalign.ingest.config import FetchConfig
    from openalign.ingest.fetching.setup import FetchSetup
    from openalign.ingest.web.config import WebConfig

    hosts = [f"h{number}.example" for number in range(NUM_HOSTS)]
    web = WebConfig(
        contact="https://example.org",
        requests_per_second=1e6,
        connections_per_host=8,
        num_retries=0,
        respect_robots=False,
        allowed_networks=("127.0.0.0/8",),
        connect_to=dict.fromkeys(hosts, address),
    )
    with tempfile.TemporaryDirectory() as folder:
        kept = []
        for start in range(0, num_rows, 50_000):
            urls = [
                f"http://{hosts[n % NUM_HOSTS]}/images/{n:012}.png"
                for n in range(start, min(start + 50_000, num_rows))
            ]
            text = "a photograph of a harbour at first light, with boats and a lighthouse"
            rows = {
                "key": [candidate_key(url, text) for url in urls],
                "image_url": urls,
                "alt_text": [text] * len(urls),
                "found_in": ["table"] * len(urls),
                "raw_image_url": urls,
            }
            empty = {name: [None] * len(urls) for name in CANDIDATE.names if name not in rows}
            table = pa.table({**rows, **empty}).select(CANDIDATE.names).cast(CANDIDATE)
            write_table(folder, f"kept-{start:09}.parquet", table)
            kept.append(f"{folder}/kept-{start:09}.parquet")
        setup = FetchSetup(
            config=FetchConfig(web=web, num_buckets=4, images_per_shard=5_000, large_host=10**9),
            images_from=web,
            output=f"{folder}/shards",
            work=f"{folder}/work",
        )
        result = run_jobs(fetch.jobs(setup, kept=kept), work=setup.work)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    states = {state: count for state, count in result.states.items() if count}
    print(json.dumps({"peak_mib": peak_mib, "states": states}))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--one", nargs=2, metavar=("ADDRESS", "ROWS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        fetch_one(options.one[0], int(options.one[1]))
        return
    peaks = {}
    for num_rows in (options.rows, options.rows * GROWTH):
        with server() as address:
            command = [sys.executable, __file__, "--one", address, str(num_rows)]
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(ran.stdout.splitlines()[-1])
        expected = {"fetched": num_rows // 100, "http_gone": num_rows - num_rows // 100}
        assert found["states"] == expected, found["states"]
        peaks[num_rows] = found["peak_mib"]
        print(f"{num_rows:>10,} rows   peak {peaks[num_rows]:,} MiB   {found['states']}", flush=True)
    small, large = peaks.values()
    print(f"ten times the rows take {large / small:.2f} times the memory")


if __name__ == "__main__":
    main()
