"""What `datasets` prints: the forms of data sets, and what a check of a copy finds."""

import textwrap
from collections.abc import Iterator, Sequence

from openalign.errors import InputError
from openalign.evaluate.datasets import checking
from openalign.evaluate.datasets.checking import CheckedCopy
from openalign.evaluate.datasets.kinds import KINDS
from openalign.evaluate.datasets.recognition import kinds_called
from openalign.run.verbs import explaining

_LINE_WIDTH = 100


def names() -> list[str]:
    """Return the kinds of data sets, and the published names that are none of a kind."""
    return list(dict.fromkeys([*KINDS, *(name for kind in KINDS.values() for name in kind.names)]))


def form_lines() -> Iterator[str]:
    """Yield the kinds of data sets, each with its published names."""
    width = max(map(len, KINDS)) + 2
    for name, kind in KINDS.items():
        said = (f"{kind.title} (docs/{kind.page})", ", ".join(kind.names))
        lines = [
            line
            for text in said
            for line in textwrap.wrap(text, _LINE_WIDTH - width, break_on_hyphens=False)
        ]
        yield f"{name:{width}}" + f"\n{'':{width}}".join(lines)
    yield ""
    yield "openalign datasets KIND says more, for example openalign datasets karpathy"


def kind_lines(name: str) -> Iterator[str]:
    """Yield what there is to know of each kind that a name stands for, and what to type for it."""
    for kind in kinds_called(name):
        form = KINDS[kind]
        yield f"{kind}: {form.title} (docs/{form.page})"
        if form.names:
            yield from _filled(f"Published in this form: {', '.join(form.names)}")
        yield from _filled(f"Measured on it: {', '.join(form.tasks) or 'what a pipeline names'}")
        yield ""
        yield from explaining.kind_lines("benchmarks.NAME", kind)
        called = name if name != kind else (*form.names, kind)[0]
        yield f"openalign datasets check PATH --kind {called}"
        if form.tasks:
            yield f"openalign evaluate --model FOLDER --data {called}=PATH"
        yield ""


def check(path: str, kind: str, changes: Sequence[str]) -> list[CheckedCopy]:
    """Return what a copy of a data set holds: of a collection, of each of its data sets."""
    return checking.check(path, kind, changes)


def check_lines(copies: Sequence[CheckedCopy]) -> Iterator[str]:
    """Yield what copies of data sets hold, as tables."""
    for copy in copies:
        title = f"{copy.kind}: {copy.title}"
        named = f"{copy.name}, {title}" if copy.name not in ("", copy.kind) else title
        parts = [part for part in ([named], _table(copy), copy.notes) if part]
        yield "\n\n".join("\n".join(part) for part in parts) + "\n"


def require_whole(copies: Sequence[CheckedCopy]) -> None:
    """See that copies lack nothing.

    Raises:
        InputError: one of them lacks something.
    """
    problems = [problem for copy in copies for problem in copy.problems]
    if problems:
        hints = dict.fromkeys(copy.hint for copy in copies if copy.hint)
        raise InputError("\n".join(problems), hint="; ".join(hints) or None)


def _table(copy: CheckedCopy) -> Sequence[str]:
    """Return a line a split, and what there is beside images."""
    if not copy.splits:
        return copy.beside_images
    lines = [f"{'split':16} {'images':>10} {'missing':>10} {'captions':>10} {'classes':>10}"]
    lines += [
        f"{each.split:16} {each.images:>10,} {each.missing:>10,} {each.captions:>10,} "
        f"{each.classes:>10,}"
        for each in copy.splits
    ]
    return [*lines, *copy.beside_images]


def _filled(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _LINE_WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
