"""What a fine-tuning did otherwise than the paper: its recipe's settings, and VTAB's splits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openalign.evaluate.datasets.labels.vtab.vtab_tasks import NUM_TRAIN, NUM_VAL, TASK_OF
from openalign.evaluate.results import TaskResult
from openalign.evaluate.tasks.vtab_means import MEAN
from openalign.settings.fields import identity
from openalign.train.fine_tune.recipes import FineGrainedRecipe, ImageNetRecipe, VtabRecipe

_NO_PROTOCOL = ("kind", "validation_split")
"""Settings of a recipe that are names."""


def of_imagenet(_: TaskResult, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not as in Table 5."""
    return _other_settings(ImageNetRecipe(), settings)


def of_fine_grained(_: TaskResult, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not as in Table 7."""
    return _other_settings(FineGrainedRecipe(), settings)


def of_vtab(task: TaskResult, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not as in Table 6, but for the ranges that settings are drawn from."""
    yield from _other_settings(VtabRecipe(), settings)
    published = TASK_OF[vtab_name(task)]
    sizes = {
        "num_train_images": NUM_TRAIN + NUM_VAL,
        "num_val_images": NUM_VAL,
        "num_images": published.num_test,
    }
    if any(task.facts.get(fact, size) != size for fact, size in sizes.items()):
        yield f"{published.title}: splits of other sizes than published"


def vtab_name(task: TaskResult) -> str:
    """Return which of the 19 tasks it is, of either kind; empty for none."""
    return task.facts.get("vtab_task") or task.facts.get("task") or ""


def is_in(group: str, task: TaskResult) -> bool:
    """Tell whether a task is one of the 19, and of a group where it is not the mean over all."""
    published = TASK_OF.get(vtab_name(task))
    return published is not None and group in (MEAN, published.group)


def _other_settings(published: object, settings: Mapping[str, Any]) -> Iterator[str]:
    found = settings.get("recipe", {})
    for name, value in identity(published).items():
        if name not in _NO_PROTOCOL and found.get(name, value) != value:
            yield f"{name}: {_shown(found[name])}, not {_shown(value)}"


def _shown(value: float | Sequence[float]) -> str:
    if isinstance(value, Sequence):
        return " or ".join(map(_shown, value))
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
