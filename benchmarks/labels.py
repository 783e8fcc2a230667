r"""Nearest neighbors and linear probes on real labelled images, beside scikit-learn's.

    .venv/bin/python benchmarks/labels.py --fashion-mnist /usr/share/datasets/fashion-mnist
    .venv/bin/python benchmarks/labels.py --digits
    .venv/bin/python benchmarks/labels.py --digits --model runs/demo/train/export

Fashion-MNIST is MNIST's IDX files; Debian has them: `apt-get install dataset-fashion-mnist`. The
digits are scikit-learn's, written as PNGs with a table of classes: 1,437 to learn from, 360 to
test. Both are read as any data set is.

The vectors are gray values of all pixels, or the embeddings of a model, in rows of length 1.
scikit-learn gets the same rows: `KNeighborsClassifier` with one neighbor, `LogisticRegression` with
the penalty that was chosen. Both libraries minimize one objective, so the accuracies must agree.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels import class_table, mnist
from openalign.evaluate.embedding.encoder import Encoder
from openalign.evaluate.metrics.bootstrap import Bootstrap
from openalign.evaluate.metrics.vectors import Vectors, unit_rows
from openalign.evaluate.tasks.benchmark import benchmark_of
from openalign.evaluate.tasks.classification import neighbors
from openalign.evaluate.tasks.contract import Material, Sampling
from openalign.evaluate.tasks.probes import probe
from openalign.images.decoding import decode

AT_ONCE = 512
TEST_EVERY = 5
SAMPLING = Sampling(bootstrap=Bootstrap(resamples=1000, confidence=0.95, seed=0), num_examples=1)


@contextmanager
def digits() -> Iterator[Dataset]:
    """Yield scikit-learn's digits as a table of classes; every fifth image is for testing."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "digits.csv").open("w") as file:
        table = csv.writer(file)
        table.writerow(["image", "class", "split"])
        found: Any = load_digits()
        for number, (values, label) in enumerate(zip(found.images, found.target, strict=True)):
            name = f"{number:04d}.png"
            Image.fromarray((values * 255 / 16).round().astype(np.uint8)).save(f"{folder}/{name}")
            table.writerow([name, label, "train" if number % TEST_EVERY else "test"])
        file.flush()
        yield class_table.read(class_table.ClassTableDataset(path=file.name))


def pixel_rows(dataset: Dataset) -> Vectors:
    """Return the gray values of each image."""
    images = (decode(image.place.read()).convert("L") for image in dataset.images)
    return unit_rows(np.stack([np.asarray(image, dtype=np.float32).ravel() for image in images]))


def model_rows(dataset: Dataset, model: str) -> Vectors:
    """Return the embedding of each image."""
    encoder = Encoder.load(model)
    contents = [image.place.read() for image in dataset.images]
    parts = [contents[start : start + AT_ONCE] for start in range(0, len(contents), AT_ONCE)]
    return np.concatenate([encoder.embed_images(part) for part in parts])


def timed(top_1_of: Callable[[], float]) -> str:
    """Return a method's top-1 in percent, and the seconds that it took."""
    started = time.perf_counter()
    top_1 = top_1_of()
    return f"{100 * top_1:.2f} in {time.perf_counter() - started:.0f} s"


def show(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def measure(what: str, dataset: Dataset, rows: Vectors, method: probe.Lbfgs) -> None:
    """Print a line a method: ours, and scikit-learn's on the same rows."""
    benchmark = benchmark_of("set", dataset, image_GD=rows, caption_GD=None, image_hashes=[])
    labels = benchmark.labels
    train = benchmark.places_of(dataset.train_split)
    test = benchmark.places_of(dataset.test_split)

    def by_neighbors() -> float:
        material = Material(benchmark=benchmark, texts={})
        task = neighbors.NeighborsTask(benchmark="set")
        return neighbors.measure(task, material, SAMPLING).metrics[0].value

    def by_probe(method: probe.Lbfgs | probe.Sgd) -> float:
        with tempfile.TemporaryDirectory() as work:
            material = Material(benchmark=benchmark, texts={}, work=work)
            task = probe.ProbeTask(benchmark="set", method=method)
            found = probe.measure(task, material, SAMPLING)
        if found.facts.sweep is not None:
            penalties.append(found.facts.sweep.penalty)
        return found.metrics[0].value

    def by_theirs(classifier: KNeighborsClassifier | LogisticRegression) -> float:
        classifier.fit(rows[train], labels[train])
        return float(classifier.score(rows[test], labels[test]))

    penalties: list[float] = []
    nearest = KNeighborsClassifier(1, algorithm="brute")
    show(what, "nearest neighbor", timed(by_neighbors), timed(partial(by_theirs, nearest)))
    show(what, "probe, SGD", timed(partial(by_probe, probe.Sgd())), "-")
    ours = timed(partial(by_probe, method))
    [penalty] = penalties
    same = LogisticRegression(C=1 / penalty, max_iter=5000, tol=1e-6)
    show(what, f"probe, L-BFGS, penalty {penalty:g}", ours, timed(partial(by_theirs, same)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Neighbors and probes on real labelled images.")
    parser.add_argument("--fashion-mnist", metavar="FOLDER", help="the folder of its IDX files")
    parser.add_argument("--digits", action="store_true", help="scikit-learn's digits")
    parser.add_argument("--model", action="append", default=[], help="a model's folder; may repeat")
    parser.add_argument(
        "--decades",
        nargs=2,
        type=int,
        default=(-6, 6),
        metavar=("LOWEST", "HIGHEST"),
        help="powers of ten between which the penalty is chosen",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=8,
        metavar="NUMBER",
        help="penalties a decade that are told apart, a power of two",
    )
    options = parser.parse_args()
    lowest, highest = options.decades
    method = probe.Lbfgs(
        lowest_decade=lowest, highest_decade=highest, steps_per_decade=options.steps
    )
    print("| rows | method | ours, top-1 | scikit-learn's |")
    print("|---|---|---|---|")

    def measure_all(name: str, dataset: Dataset) -> None:
        measure(f"{name}, pixels", dataset, pixel_rows(dataset), method)
        for model in options.model:
            rows = model_rows(dataset, model)
            measure(f"{name}, {model}", dataset, rows, method)

    if options.digits:
        with digits() as dataset:
            measure_all("digits", dataset)
    if options.fashion_mnist:
        read = mnist.read(mnist.MnistDataset(path=options.fashion_mnist))
        measure_all("Fashion-MNIST", read)


if __name__ == "__main__":
    main()
