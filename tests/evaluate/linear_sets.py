"""Small labeled sets of unit rows, for every test of linear heads."""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import numpy as np

from openalign.evaluate.linear.rows import Labeled
from openalign.evaluate.metrics.bootstrap import Ints
from openalign.evaluate.metrics.vectors import Vectors, unit_rows


def labeled(image_GD: Vectors, label_G: Ints, *, num_classes: int) -> Labeled:
    """Return a set of all rows."""
    return Labeled(
        image_GD=image_GD,
        places_N=np.arange(len(image_GD)),
        label_N=label_G,
        num_classes=num_classes,
    )


def random_set(*, num_rows: int = 150, width: int = 12, num_classes: int = 4) -> Labeled:
    """Return rows around a center a class; classes overlap."""
    random = np.random.default_rng(5)
    label_G = random.integers(num_classes, size=num_rows)
    center_CD = random.normal(size=(num_classes, width))
    rows = center_CD[label_G] + 1.5 * random.normal(size=(num_rows, width))
    return labeled(unit_rows(rows + 2.0), label_G, num_classes=num_classes)
