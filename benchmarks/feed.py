"""Reading and decoding training images at random, beside webdataset and bare reads.

    .venv/bin/python benchmarks/feed.py                        what `fetch` stores, and 640 x 480
    .venv/bin/python benchmarks/feed.py --images 500 --repeat 1    a quick look

webdataset is installed apart: `pip install --target SITE webdataset`, and SITE on PYTHONPATH.

Every contestant reads the same shards, which the system has in memory, in a process of its own.
The first three make batches of 64 crops of 289 px as bytes: decode, squash to 346 px, crop and
mirror at random, and the texts.

    ours         `TrainingSet`, at random, with the hash of every image and the texts' word pieces;
                 one thread decodes
    ours_warped  the same, with floats and the demo's affine warp
    webdataset   `WebDataset`, in the order of the shards, with Pillow
    reads        `ShardReader` at random: bytes alone
    pread        `os.pread` at the same places of files that are open
    members      `WebDataset` without decoding, in the order of the shards

Figures are images a second of CPU time, of the median run; runs of the contestants alternate.
Ratios are medians of the ratios of a round.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from contestants import child_words, one_run, time_and_tell
from noise_photographs import photograph
from PIL import Image

CONTESTANTS = ("ours", "ours_warped", "webdataset", "reads", "pread", "members")
GOALS = (("ours", "webdataset", 1.3), ("reads", "pread", 0.8), ("reads", "members", 12.7))
SIZES = {"stored": (461, 346), "640": (640, 480)}
"""What `fetch` makes of 4 : 3 by default, and what other tars have."""

BATCH, RESIZE_PX, CROP_PX = 64, 346, 289
NUM_SHARDS, DIFFERENT = 4, 50
READS_AN_IMAGE = 20
"""Bytes alone take so little time that each place is read more than once."""


def write_corpus(folder: Path, size: tuple[int, int], num_images: int) -> None:
    """Write shards of images with a text each, and the training index over them."""
    import io

    import pyarrow as pa

    from openalign.files.hashing import candidate_key, image_key
    from openalign.files.schemas import TRAINING
    from openalign.files.shards import Sample, write_shard
    from openalign.files.tables import read_table
    from openalign.files.training_index import write_training_index

    jpegs: list[bytes] = []
    for seed in range(DIFFERENT):
        sink = io.BytesIO()
        photograph(size, seed).save(sink, "JPEG", quality=90)
        jpegs.append(sink.getvalue())
    rows: list[dict[str, Any]] = []
    for number in range(NUM_SHARDS):
        shard = f"shard-{number:05d}-00000.tar"
        numbers = range(number, num_images, NUM_SHARDS)
        urls = [f"http://images.example/{n}.jpg" for n in numbers]
        texts = [f"a photograph of thing {n}, as the web has it" for n in numbers]
        samples = [
            Sample(image_key(url), {"jpg": jpegs[n % DIFFERENT], "txt": text.encode()})
            for n, url, text in zip(numbers, urls, texts, strict=True)
        ]
        write_shard(str(folder), shard, samples)
        members = read_table(str(folder / shard.replace(".tar", ".index.parquet"))).to_pylist()
        for url, text, place in zip(urls, texts, members[::2], strict=True):
            where = {name: place[name] for name in ("offset", "length", "xxh3")}
            pair = {"shard": shard, "alt_text": text, "key": candidate_key(url, text)}
            rows.append({**where, **pair, "image": len(rows)})
    table = pa.Table.from_pylist(rows, schema=TRAINING)
    write_training_index(str(folder), "training-00000-of-00001.parquet", table)


def our_batches(folder: Path, *, num_batches: int, warped: bool) -> int:
    """Return how many images were made."""
    from contextlib import closing

    from openalign.files.shards import ShardReader
    from openalign.train.config import Augmentation
    from openalign.train.data.index import TrainingIndex
    from openalign.train.data.pairs import TrainingSet
    from openalign.train.data.preprocess import SPECIAL_TOKENS, Preprocess, build_tokenizer

    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789,"]
    pieces = [*SPECIAL_TOKENS, *letters, *(f"##{letter}" for letter in letters)]
    preprocess = Preprocess(resize_px=RESIZE_PX, crop_px=CROP_PX)
    warp = Augmentation(rotation_degrees=10, scale=0.1, stretch=0.1, shift=0.05)
    with closing(
        TrainingSet(
            TrainingIndex(sorted(folder.glob("index-*.arrow"))),
            shards=ShardReader(str(folder)),
            preprocess=preprocess,
            tokenizer=build_tokenizer(pieces, preprocess),
            augmentation=warp if warped else Augmentation(),
            seed=0,
            decode_threads=1,
            image_cache_mb=0,
        )
    ) as data:
        batches = data.batches(0, num_batches, global_batch_size=BATCH, start=0, num_pairs=BATCH)
        return sum(len(batch.pixels[:] if warped else batch.rows) for batch in batches)


def their_batches(folder: Path, *, num_batches: int) -> int:
    """Return how many images were made."""
    from webdataset.compat import WebDataset

    draws = np.random.default_rng(0)
    margin_px = RESIZE_PX - CROP_PX

    def prepared(image: Image.Image) -> Any:
        square = image.resize((RESIZE_PX, RESIZE_PX), Image.Resampling.BILINEAR)
        top, left = draws.integers(0, margin_px + 1, 2)
        crop = square.crop((left, top, left + CROP_PX, top + CROP_PX))
        if draws.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(crop)

    samples: Any = (
        WebDataset(_shards(folder), shardshuffle=False)
        .decode("pil")
        .to_tuple("jpg", "txt")
        .map_tuple(prepared, str)
        .batched(BATCH)
    )
    return sum(len(images) for _, (images, _) in zip(range(num_batches), samples, strict=False))


def members(folder: Path, *, num_batches: int) -> int:
    """Return how many images webdataset has read, without decoding any."""
    from webdataset.compat import WebDataset

    samples: Iterable[Any] = WebDataset(_shards(folder), shardshuffle=False)
    return sum(1 for _, _ in zip(range(num_batches * BATCH), samples, strict=False))


def reads(folder: Path, *, num_batches: int, bare: bool) -> int:
    """Return how many reads were made at random places."""
    from openalign.files.shards import ShardReader
    from openalign.train.data.index import TrainingIndex

    index = TrainingIndex(sorted(folder.glob("index-*.arrow")))
    rows = np.random.default_rng(0).permutation(len(index))[: num_batches * BATCH]
    places = index.places(rows) * READS_AN_IMAGE
    files = {path.name: os.open(path, os.O_RDONLY) for path in folder.glob("*.tar")}

    def pread(shard: str, offset: int, length: int) -> bytes:
        return os.pread(files[shard], length, offset)

    read = pread if bare else ShardReader(str(folder)).read
    return sum(len(read(place.shard, place.offset, place.length)) > 0 for place in places)


def _shards(folder: Path) -> list[str]:
    return [str(path) for path in sorted(folder.glob("*.tar"))]


def run_child(name: str, folder: Path, num_batches: int) -> None:
    """Be one contestant."""
    import torch

    torch.set_num_threads(1)
    works: dict[str, Callable[..., int]] = {
        "ours": partial(our_batches, warped=False),
        "ours_warped": partial(our_batches, warped=True),
        "webdataset": their_batches,
        "reads": partial(reads, bare=False),
        "pread": partial(reads, bare=True),
        "members": members,
    }
    work = partial(works[name], folder)
    work(num_batches=1)  # imports
    time_and_tell(partial(work, num_batches=num_batches))


def race(folder: Path, contestants: Sequence[str], *, num_batches: int, repeat: int) -> None:
    """Print what each contestant comes to, and the ratios that have a goal."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeat):
        for name in contestants:
            found = one_run(name, str(folder), str(num_batches))
            rates[name].append(found["answer"] / found["cpu"])
    for name in contestants:
        print(f"{name:12}{statistics.median(rates[name]):>12,.0f} images/s", flush=True)
    for ours, theirs, goal in GOALS:
        if ours in rates and theirs in rates:
            ratios = [one / two for one, two in zip(rates[ours], rates[theirs], strict=True)]
            print(f"{ours} beside {theirs}: {statistics.median(ratios):.2f}, goal {goal}")


def main() -> None:
    """Run and print."""
    if (words := child_words()) is not None:
        run_child(words[0], Path(words[1]), int(words[2]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--contestants", nargs="+", default=CONTESTANTS, choices=CONTESTANTS)
    chosen = parser.parse_args()
    for name in chosen.sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_corpus(Path(folder), SIZES[name], chosen.images)
            print(f"\n{' x '.join(map(str, SIZES[name]))}")
            num_batches = chosen.images // BATCH
            race(Path(folder), chosen.contestants, num_batches=num_batches, repeat=chosen.repeat)


if __name__ == "__main__":
    main()
