"""Which images the map of a run shows, and of which classes they are."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from openalign.evaluate.drawing.image_map import NO_MAP, ImageMap, lay_out
from openalign.evaluate.drawing.sampling import sample
from openalign.evaluate.results import TaskResult
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark

_MOST_IMAGES = 200
"""More would hide each other."""

_FEWEST_IMAGES = 5


def map_of(tasks: Sequence[TaskResult], benchmarks: Mapping[str, EmbeddedBenchmark]) -> ImageMap:
    """Return the map of the first task's benchmark that has enough images in the task's split.

    Of more images than a map holds, the hashes of their names decide. A class is told by any
    benchmark of the run that has the same image file and its class.
    """
    for task in tasks:
        benchmark = benchmarks[task.benchmark]
        split = str(task.facts.get("split", benchmark.dataset.test_split))
        places = benchmark.places_of(split)
        if len(places) < _FEWEST_IMAGES:
            continue
        drawn = places[sample([benchmark.images[at].name for at in places], _MOST_IMAGES)]
        images = [benchmark.images[at] for at in drawn]
        classes = _classes([image.where for image in images], benchmarks)
        return ImageMap(
            benchmark=benchmark.name,
            split=split,
            num_images=len(places),
            images=lay_out(
                [image.name for image in images],
                benchmark.image_GD[np.asarray(drawn)],
                [classes.get(image.where, "") for image in images],
            ),
        )
    return NO_MAP


def _classes(wanted: Sequence[str], benchmarks: Mapping[str, EmbeddedBenchmark]) -> dict[str, str]:
    """Return the class of each image by its file, as the benchmark has it that parts them best."""
    images, best, most = frozenset(wanted), dict[str, str](), 0.0
    for benchmark in benchmarks.values():
        classes = benchmark.dataset.classes
        found = {
            image.where: classes[image.label].title
            for image in benchmark.images
            if image.label is not None and image.where in images
        }
        parted = _entropy([found.get(image, "") for image in wanted])
        if parted > most:
            best, most = found, parted
    return best


def _entropy(classes: Sequence[str]) -> float:
    """Return how much classes tell of an image, in nats; images without one are a class."""
    shares = [count / len(classes) for count in Counter(classes).values()]
    return -sum(share * math.log(share) for share in shares)
