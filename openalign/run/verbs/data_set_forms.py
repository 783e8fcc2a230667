"""What `datasets` prints: the forms of data sets, and what a check of a copy finds."""

import textwrap
from collections.abc import Iterator, Sequence

from openalign.errors import InputError
from openalign.evaluate.datasets import checking
from openalign.evaluate.datasets.kinds import KINDS

_LINE_WIDTH = 100


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


def check_lines(path: str, kind: str, changes: Sequence[str]) -> Iterator[str]:
    """Yield what a copy of a data set holds.

    Raises:
        InputError: it lacks something.
    """
    copies = checking.check(path, kind, changes)
    for copy in copies:
        parts = [part for part in ([copy.name], copy.table, copy.notes) if part]
        yield "\n\n".join("\n".join(part) for part in parts) + "\n"
    problems = [problem for copy in copies for problem in copy.problems]
    if problems:
        hints = dict.fromkeys(copy.hint for copy in copies if copy.hint)
        raise InputError("\n".join(problems), hint="; ".join(hints) or None)
