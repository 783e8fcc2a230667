"""The memory of a fetch whose input grows tenfold over the same buckets; most images are gone.

    .venv/bin/python benchmarks/fetch_memory.py                        100,000 and 1,000,000 rows
    .venv/bin/python benchmarks/fetch_memory.py --rows 20000           a quick look

A server on loopback answers 404 to all but one of a hundred addresses, and those with a small PNG.
Each size is fetched by a process of its own on one core. Its peak is what the system says of it
when it ends (`ru_maxrss`), imports and Beam included; the server is another process. Every row is
asserted to be in a ledger, in the state that the server gave it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile

from canned_server import served

NUM_HOSTS = 50
GROWTH = 10


def fetch_one(address: str, num_rows: int) -> None:
    """Fetch so many rows in this process, and print its peak and its states."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import polars as pl
    from candidates_made import as_candidates

    from openalign.engines.jobs import run_jobs
    from openalign.files.hashing import candidate_key
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
                f"http://{hosts[n % NUM_HOSTS]}/{'found' if n % 100 == 0 else 'gone'}/{n:012}.png"
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
            write_table(folder, f"kept-{start:09}.parquet", as_candidates(pl.DataFrame(rows)))
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
        with served() as address:
            command = [sys.executable, __file__, "--one", address, str(num_rows)]
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(ran.stdout.splitlines()[-1])
        expected = {"fetched": num_rows // 100, "http_gone": num_rows - num_rows // 100}
        assert found["states"] == expected, found["states"]
        peaks[num_rows] = found["peak_mib"]
        print(
            f"{num_rows:>10,} rows   peak {peaks[num_rows]:,} MiB   {found['states']}", flush=True
        )
    small, large = peaks.values()
    print(f"ten times the rows take {large / small:.2f} times the memory")


if __name__ == "__main__":
    main()
