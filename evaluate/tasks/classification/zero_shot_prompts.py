"""Prompts of zero-shot classification: which templates, filled with which names.

A class is the mean of its prompts' unit embeddings, scaled to length 1 again, as CLIP does it
(ALIGN §5.2 takes its prompts from there, and names the last scaling only). A class of several
names has the prompts of every name in that mean: a synonym is another wording, as a template is,
and no data set says which of its names people use. So each name has the same weight.

Shape suffixes:
    P  prompts
    C  classes
    D  embedding width
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openalign.errors import InputError
from openalign.evaluate.datasets.class_names.known import templates_of
from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.datasets.reading.text import read_lines
from openalign.evaluate.metrics.row_parts import in_parts
from openalign.evaluate.metrics.vectors import Vectors, unit_rows
from openalign.evaluate.tasks.classification.zero_shot import AUTO, ZeroShotTask
from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of

PLACE = "{}"
"""Where the class's name stands in a template."""

PLAIN = f"a photo of a {PLACE}."
"""What is asked where nothing is known of a data set."""

_CLASSES_A_THREAD = 64

_FORM = f"write `{PLACE}` where the class's name belongs, as in `{PLAIN}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """Prompt templates, and where they are from in words."""

    texts: tuple[str, ...]
    source: str


def templates_for(task: ZeroShotTask, dataset: Dataset) -> Templates:
    """Return the templates that a task asks with.

    Raises:
        InputError: they are in no list and no file, or one has no place for a name.
    """
    if task.templates == AUTO and dataset.templates:
        return Templates(
            texts=_checked(dataset.templates, of=f"benchmark `{task.benchmark}`"),
            source="the data set's own",
        )
    return _named(task)


def fingerprint(task: ZeroShotTask) -> str:
    """Return the hash of the templates; those of the data set's own are part of the data set."""
    return fingerprint_of(list(_named(task).texts))


def _named(task: ZeroShotTask) -> Templates:
    """Return the templates that a task names, or those known for its benchmark's name."""
    named = task.templates
    if isinstance(named, tuple):
        texts = _checked(named, of=f"templates of the task on `{task.benchmark}`")
        return Templates(texts=texts, source="the settings")
    if named == AUTO:
        try:
            known = templates_of(task.benchmark)
        except InputError:
            none = f"one plain template, because no list is known for `{task.benchmark}`"
            return Templates(texts=(PLAIN,), source=none)
        return Templates(texts=known, source=f"the list known for `{task.benchmark}`")
    if storage.exists(named):
        return Templates(texts=_from_file(named), source="a file")
    try:
        return Templates(texts=templates_of(named), source=f"the list `{named}`")
    except InputError as error:
        raise InputError(
            f"templates: `{named}` is neither a known list nor a file", hint=error.hint
        ) from error


def _from_file(path: str) -> tuple[str, ...]:
    lines = [(number, line.strip()) for number, line in enumerate(read_lines(path), 1)]
    texts = [(number, text) for number, text in lines if text]
    if not texts:
        raise InputError(f"{path}: holds no template", hint=_FORM)
    for number, text in texts:
        _checked([text], of=f"{path}:{number}")
    return tuple(text for _, text in texts)


def _checked(texts: Sequence[str], *, of: str) -> tuple[str, ...]:
    for text in texts:
        if PLACE not in text:
            raise InputError(f"{of}: {text!r} has no `{PLACE}`", hint=_FORM)
    return tuple(texts)


def prompts_of(classes: Sequence[ImageClass], templates: Sequence[str]) -> list[str]:
    """Return all prompts: class by class, name by name, template by template.

    Classes that have the same names share their prompts, so that they tie to the last bit.
    """
    return [
        template.replace(PLACE, name)
        for names in _distinct_names(classes)
        for name in names
        for template in templates
    ]


def class_rows(prompt_PD: Vectors, classes: Sequence[ImageClass], num_templates: int) -> Vectors:
    """Return a unit row for each class, from the unit rows of `prompts_of`."""
    distinct = _distinct_names(classes)
    stops = np.cumsum([len(names) * num_templates for names in distinct])
    starts = [0, *stops[:-1]]
    # A sum points where its mean points.
    sum_CD = np.empty((len(distinct), prompt_PD.shape[1]), dtype=np.float32)

    def part(rows: slice) -> None:
        for number in range(rows.start, rows.stop):
            prompt_PD[starts[number] : stops[number]].sum(axis=0, out=sum_CD[number])

    in_parts(part, len(distinct), step=_CLASSES_A_THREAD)
    distinct_CD = unit_rows(sum_CD)
    place = {names: number for number, names in enumerate(distinct)}
    return distinct_CD[[place[names_of(each)] for each in classes]]


def _distinct_names(classes: Sequence[ImageClass]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(names_of(each) for each in classes))


def names_of(each: ImageClass) -> tuple[str, ...]:
    """Return the names of a class that prompts use, each once."""
    return tuple(dict.fromkeys(name.strip() for name in each.names if name.strip()))
