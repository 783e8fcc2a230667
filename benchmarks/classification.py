r"""Nearest neighbors and zero-shot classification against their bare matrix products.

    .venv/bin/python benchmarks/classification.py                                ImageNet's sizes
    .venv/bin/python benchmarks/classification.py --images 4000 --train 100000   a quick look

Rows are drawn around a center a class, with so much noise that zero-shot finds about half of the
images, and lie class by class, as data sets do. `bare` multiplies the same rows and drops the
products: with all cores at once and in blocks of 64 MiB, where NumPy is at its best. Zero-shot has
all of it: prompts to classes, ranks, and probabilities at the model's temperature. Seconds of CPU
time are what counts where cores are shared; seconds of wall time stand beside them. The peak of
memory is that of everything that ran, drawing the rows included.
"""

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from openalign.evaluate.datasets.dataset import ImageClass
from openalign.evaluate.metrics.bootstrap import Ints
from openalign.evaluate.metrics.vectors import Vectors, unit_rows
from openalign.evaluate.tasks.classification.neighbors_measures import find
from openalign.evaluate.tasks.classification.zero_shot_measures import classify
from openalign.evaluate.tasks.classification.zero_shot_prompts import class_rows

QUERIES_AT_ONCE, ITEMS_AT_ONCE = 4096, 4096
AT_ONCE = 16_384
TEMPERATURE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """How long a run took."""

    cpu: float
    wall: float


def seconds_of(work: Callable[[], object], repeat: int) -> Seconds:
    """Return the best of some runs."""
    runs: list[Seconds] = []
    for _ in range(repeat):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        runs.append(Seconds(cpu=time.process_time() - cpu, wall=time.perf_counter() - wall))
    return Seconds(cpu=min(run.cpu for run in runs), wall=min(run.wall for run in runs))


def around(centers: Vectors, labels: Ints, noise: float, seed: int) -> Vectors:
    """Return unit rows around the centers of their classes, made a part at a time."""
    random = np.random.default_rng(seed)
    rows = np.empty((len(labels), centers.shape[1]), dtype=np.float32)
    for start in range(0, len(labels), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        drawn = random.standard_normal(rows[part].shape, dtype=np.float32)
        rows[part] = unit_rows(centers[labels[part]] + noise * drawn)
    return rows


def products(query: Vectors, gallery: Vectors, queries: int, items: int) -> None:
    for start in range(0, len(gallery), items):
        block = gallery[start : start + items]
        for first in range(0, len(query), queries):
            np.matmul(query[first : first + queries], block.T)


def show(what: str, bare: Seconds, ours: Seconds) -> None:
    print(
        f"{what}: bare products {bare.cpu:.2f} s CPU, {bare.wall:.2f} s; all of it "
        f"{ours.cpu:.2f} s CPU, {ours.wall:.2f} s; share of the bare speed "
        f"{bare.cpu / ours.cpu:.2f} by CPU, {bare.wall / ours.wall:.2f} by the clock",
        flush=True,
    )


def neighbors(options: argparse.Namespace, centers: Vectors) -> None:
    random = np.random.default_rng(1)
    label_q = np.sort(random.integers(0, options.classes, options.images))
    label_g = np.sort(random.integers(0, options.classes, options.train))
    query = around(centers, label_q, options.noise, 2)
    gallery = around(centers, label_g, options.noise, 3)
    bare = seconds_of(
        lambda: products(query, gallery, QUERIES_AT_ONCE, ITEMS_AT_ONCE), options.repeat
    )
    ours = seconds_of(
        lambda: find(query, gallery, label_Q=label_q, label_G=label_g), options.repeat
    )
    show(f"neighbors, {options.images:,} among {options.train:,}", bare, ours)


def zero_shot(options: argparse.Namespace, centers: Vectors) -> None:
    label_q = np.sort(np.random.default_rng(1).integers(0, options.classes, options.images))
    images = around(centers, label_q, options.noise, 2)
    per_class = np.repeat(np.arange(options.classes), options.templates)
    prompts = around(centers, per_class, 1.0, 4)
    classes = [ImageClass(id=str(at), names=(str(at),)) for at in range(options.classes)]

    def all_of_it() -> None:
        rows = class_rows(prompts, classes, options.templates)
        classify(images, rows, label_q, temperature=TEMPERATURE)

    bare = seconds_of(lambda: products(images, centers, AT_ONCE, len(centers)), options.repeat)
    ours = seconds_of(all_of_it, options.repeat)
    sizes = f"{options.images:,} x {options.classes:,} x {options.templates}"
    show(f"zero-shot, {sizes} templates", bare, ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=50_000, help="images that are asked about")
    parser.add_argument("--train", type=int, default=1_281_167, help="images that are searched")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--templates", type=int, default=80)
    parser.add_argument("--width", type=int, default=640, help="width of an embedding")
    parser.add_argument("--noise", type=float, default=8.0)
    parser.add_argument("--repeat", type=int, default=3, help="the best run counts")
    parser.add_argument("--only", choices=("neighbors", "zero-shot"))
    options = parser.parse_args()
    shape = (options.classes, options.width)
    centers = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    if options.only != "neighbors":
        zero_shot(options, centers)
    if options.only != "zero-shot":
        neighbors(options, centers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.1f} GiB")


if __name__ == "__main__":
    main()
