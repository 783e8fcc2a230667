"""What a fine-tuning did otherwise than the paper: its recipe's settings, and VTAB's splits.

Where a task's facts say what was done, they are compared, otherwise what its settings asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openalign.evaluate.datasets.labels.vtab.vtab_tasks import NUM_TRAIN, NUM_VAL, TASK_OF
from openalign.evaluate.results import TaskResult
from openalign.evaluate.tables.contract import SETTINGS_NOT_KNOWN
from openalign.evaluate.tasks.fine_tuning.fine_tune import VTAB_TASK
from openalign.evaluate.tasks.vtab_means import MEAN
from openalign.settings.fields import identity
from openalign.train.config import Duration
from openalign.train.fine_tune.recipes import FineGrainedRecipe, ImageNetRecipe, VtabRecipe
from openalign.train.optim.schedule import total_steps

_NO_PROTOCOL = ("kind", "validation_split")
"""Settings of a recipe that are names."""


def of_imagenet(task: TaskResult, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not as in Table 5."""
    published = ImageNetRecipe()
    train_px, eval_px = (task.facts.get(name, ()) for name in ("train_px", "eval_px"))
    done = {
        **_done(task),
        "epochs": _epochs(task, published.epochs),
        "head_train_px": train_px[:1],
        "head_eval_px": eval_px[:1],
        "train_px": train_px[1:],
        "eval_px": eval_px[1:],
    }
    return _other_settings(published, settings, done)


def of_fine_grained(task: TaskResult, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not as in Table 7."""
    of_stages = {name: task.facts.get(name, ()) for name in ("steps", "train_px", "eval_px")}
    return _other_settings(FineGrainedRecipe(), settings, {**_done(task), **of_stages})


def of_vtab(task: TaskResult, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not as in Table 6, but for the ranges that settings are drawn from."""
    trials = task.facts.get("trials", ())
    done = {**_done(task), "trials": [len(trials)] if trials else []}
    yield from _other_settings(VtabRecipe(), settings, done)
    published = TASK_OF[task.facts[VTAB_TASK]]
    sizes = {
        "num_train_images": NUM_TRAIN + NUM_VAL,
        "num_val_images": NUM_VAL,
        "num_images": published.num_test,
    }
    found = [task.facts.get(fact) for fact in sizes]
    if None in found:
        yield f"{published.title}: sizes of splits not known"
    elif found != list(sizes.values()):
        yield f"{published.title}: splits of other sizes than published"


def is_in(group: str, task: TaskResult) -> bool:
    """Tell whether a fine-tuning is of one of the 19 tasks, and of a group; all are of the mean."""
    published = TASK_OF.get(task.facts.get(VTAB_TASK, ""))
    return published is not None and group in (MEAN, published.group)


def _done(task: TaskResult) -> dict[str, Sequence[Any]]:
    """Return what facts say of settings of every recipe; nothing of what they do not say."""
    batch_size, run_right = task.facts.get("batch_size"), task.facts.get("run_right", ())
    return {
        "batch_size": [] if batch_size is None else [batch_size],
        "runs": [len(run_right)] if run_right else [],
    }


def _epochs(task: TaskResult, published: float) -> Sequence[float]:
    """Return the epochs of each stage, by its steps; whole steps of published ones are those."""
    of_stages, batch_size, num_images = (
        task.facts.get(name) for name in ("steps", "batch_size", "num_train_images")
    )
    if not (of_stages and batch_size and num_images):
        return []
    expected = total_steps(
        Duration(epochs=published), num_pairs=num_images, global_batch_size=batch_size
    )
    return [
        published if steps == expected else steps * batch_size / num_images for steps in of_stages
    ]


def _other_settings(
    published: object, settings: Mapping[str, Any], done: Mapping[str, Sequence[Any]]
) -> Iterator[str]:
    """Yield which settings of a recipe are others, or not known; `done` has values of stages."""
    asked = settings.get("recipe", {})
    if not asked:
        yield SETTINGS_NOT_KNOWN
    for name, value in identity(published).items():
        if name in _NO_PROTOCOL:
            continue
        found = done.get(name) or ([asked[name]] if name in asked else [])
        if not found and asked:
            yield f"{name} not known"
        for each in found:
            if each != value:
                yield f"{name}: {_shown(each)}, not {_shown(value)}"


def _shown(value: float | Sequence[float]) -> str:
    if isinstance(value, Sequence):
        return " or ".join(map(_shown, value))
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
