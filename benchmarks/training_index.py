"""Start-up of training and the rows of a batch: the memory-mapped index against a table in memory.

    .venv/bin/python benchmarks/training_index.py /tmp/index                        2 million pairs
    .venv/bin/python benchmarks/training_index.py /tmp/index --pairs 2 20 100       minutes, 3 GB

Synthetic pairs, two texts an image, in files of 1.25 million. Above 20 million the same files are
mapped several times: the disk holds them once. Each size is opened by a process of its own. Private
bytes are what the system says of it before and after (smaps). The table in memory is the obvious
way: the manifest read from Parquet, and its places numbered by a sort. A batch is the places, image
numbers and texts of pairs drawn from the whole corpus. The sample hash is that of a global batch,
as its thread computes it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

FILE_PAIRS = 1_250_000
MOST_FILES = 16
ROUNDS = 5
BATCHES = (16_384, 65_536)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=float, nargs="+", default=[2.0], help="millions")
    parser.add_argument("--open", choices=("index", "table"))
    options = parser.parse_args()
    if options.open:
        print(json.dumps(opened(options.folder, options.open, int(options.pairs[0]))))
        return
    sizes = [round(millions * 1e6 / FILE_PAIRS) for millions in options.pairs]
    write_files(options.folder, min(max(sizes), MOST_FILES))
    print("| pairs | | set-up | private | 16k rows | sample hash, 16k | 65k |")
    print("|---|---|---|---|---|---|---|")
    for num_files in sizes:
        for kind in ("index", "table") if num_files <= 2 else ("index",):
            show(kind, num_files * FILE_PAIRS, measured(options.folder, kind, num_files))


def measured(folder: Path, kind: str, num_files: int) -> dict[str, float]:
    command = [sys.executable, __file__, str(folder), "--open", kind, "--pairs", str(num_files)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def show(kind: str, num_pairs: int, found: dict[str, float]) -> None:
    cells = [f"{num_pairs:,}", kind, f"{found['seconds']:.2f} s"]
    cells.append(f"{found['private_bytes'] / num_pairs:.2f} bytes a pair")
    timed = [found.get(name) for name in ("batch", "hash 16384", "hash 65536")]
    cells += ["" if seconds is None else f"{seconds * 1e3:.1f} ms" for seconds in timed]
    print(f"| {' | '.join(cells)} |", flush=True)


def write_files(folder: Path, num_files: int) -> None:
    import numpy as np
    import pyarrow as pa

    from openalign.files.schemas import TRAINING
    from openalign.files.tables import write_table
    from openalign.files.training_index import write_training_index

    folder.mkdir(parents=True, exist_ok=True)
    images = np.arange(FILE_PAIRS) // 2
    for number in range(num_files):
        name = f"training-{number:05d}-of-{num_files:05d}.parquet"
        if (folder / f"index-{number:05d}.arrow").exists():
            continue
        draw = np.random.default_rng(number)
        columns = {
            "shard": [f"shard-{n // 5000:05d}-{number:05d}.tar" for n in images],
            "offset": images % 5000 * 30_000,
            "length": np.full(FILE_PAIRS, 25_000),
            "alt_text": [f"a thing numbered {n} of {number} on a web page" for n in images * 7],
            "key": [key.hex() for key in _keys(draw)],
            "image": images,
            "xxh3": draw.integers(0, 2**63, FILE_PAIRS).astype(np.uint64),
        }
        table = pa.table(columns, schema=TRAINING)
        written = write_training_index(str(folder), name, table)
        (folder / written.name).rename(folder / f"index-{number:05d}.arrow")
        if number < 2:
            write_table(str(folder), f"training-{number:05d}.parquet", table)


def opened(folder: Path, kind: str, num_files: int) -> dict[str, float]:
    """Open a corpus in this process and return what that takes."""
    import numpy as np

    from openalign.train.data.index import TrainingIndex
    from openalign.train.data.order import rows_at
    from openalign.train.data.sample_hash import first_hash, next_hash

    paths = [folder / f"index-{number % MOST_FILES:05d}.arrow" for number in range(num_files)]
    TrainingIndex(paths[:1])  # what libraries take for themselves
    before, started = private_bytes(), time.perf_counter()
    held = TrainingIndex(paths) if kind == "index" else table_in_memory(folder, num_files)
    seconds = time.perf_counter() - started
    found = {"seconds": seconds, "private_bytes": float(private_bytes() - before)}
    if isinstance(held, TrainingIndex):
        positions = np.arange(BATCHES[0])

        def read() -> None:
            rows = rows_at(positions, num_rows=len(held), seed=0)
            for ask in (held.places, held.images, held.alt_texts):
                ask(rows)

        found["batch"] = median(read)

        def digest(size: int) -> None:
            next_hash(first_hash([]), rows_at(np.arange(size), num_rows=len(held), seed=0))

        for size in BATCHES:
            found[f"hash {size}"] = median(partial(digest, size))
    return found


def table_in_memory(folder: Path, num_files: int) -> Any:
    """Hold what a rank would, and number the places of images."""
    import numpy as np
    import pyarrow as pa

    from openalign.files.tables import read_table

    names = [f"training-{number:05d}.parquet" for number in range(num_files)]
    table = pa.concat_tables([read_table(str(folder / name)) for name in names])
    shards = table["shard"].combine_chunks().dictionary_encode().indices.to_numpy()
    places = np.stack([shards.astype(np.int64), table["offset"].to_numpy()], axis=1)
    return table, np.unique(places, axis=0, return_inverse=True)


def median(work: Callable[[], None]) -> float:
    seconds: list[float] = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def private_bytes() -> int:
    lines = Path(f"/proc/{os.getpid()}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def _keys(draw: Any) -> list[bytes]:
    content = draw.bytes(16 * FILE_PAIRS)
    return [content[at : at + 16] for at in range(0, len(content), 16)]


if __name__ == "__main__":
    main()
