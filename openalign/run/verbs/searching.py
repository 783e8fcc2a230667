"""What `openalign search` looks for, and through: the embeddings of a run's evaluation."""

import sys
from collections.abc import Iterable, Iterator, Sequence

from openalign.errors import InputError, StageError
from openalign.evaluate.datasets.kinds import kind_of
from openalign.evaluate.datasets.reading.text import read_lines
from openalign.evaluate.search.query import Query
from openalign.evaluate.search.searcher import Searcher
from openalign.evaluate.tasks.kinds import query_weights
from openalign.files import storage
from openalign.files.folder import reachable
from openalign.run.contract import Run
from openalign.run.measured_model import model_url
from openalign.run.stages import stage_names, stages_behind
from openalign.run.verbs.standing import not_there


def require_evaluated(run: Run) -> None:
    """See that there is something to search.

    Raises:
        StageError: the evaluation is not complete; stages before it that are not are named, too.
    """
    folder = run.folder("evaluate")
    behind = stages_behind(run.config, "evaluate")
    missing = [
        name
        for name in stage_names(run.config)
        if name in behind and run.folder(name).read() is None
    ]
    if missing and folder.read() is None:
        where = "" if storage.exists(run.config.root) else f"; {not_there(run.config.root)}"
        raise StageError(
            f"{run.config.name} is not evaluated, nor complete: {', '.join(missing)}{where}",
            hint=f"`openalign run {run.config.name}` makes them all; a run that was made elsewhere "
            "is searched from its own folder",
        )
    folder.require()


def open_searcher(run: Run) -> Searcher:
    """Return what searches the images that a run has evaluated on."""
    return Searcher.open(
        run.folder("evaluate").url,
        model=model_url(run),
        processor=run.config.evaluate.processor,
        image_folders={
            name: kind_of(dataset).image_folder(dataset)
            for name, dataset in run.config.benchmarks.items()
        },
    )


def query_of(
    run: Run,
    *,
    text: str | None,
    image: str | None,
    plus: Sequence[str],
    minus: Sequence[str],
    weights: tuple[float | None, float | None, float | None],
) -> Query:
    """Return what is looked for.

    `weights` are those of the image and of the words that are added and taken away. The run's
    composed task has the weights that are None.
    """
    default = query_weights(run.config.evaluate.tasks)
    usual = (default.image, default.plus, default.minus)
    image_weight, plus_weight, minus_weight = (
        otherwise if given is None else given
        for given, otherwise in zip(weights, usual, strict=True)
    )
    return Query(
        text=text,
        image=image,
        plus=tuple(plus),
        minus=tuple(minus),
        image_weight=image_weight,
        plus_weight=plus_weight,
        minus_weight=minus_weight,
    )


def queries_of(source: str) -> Iterable[tuple[str, InputError | None]]:
    """Return the lines of a text file or URL that are not blank; `-` is what is typed, as it comes.

    A typed line that cannot be asked for comes with the reason.

    Raises:
        InputError: the file cannot be read, holds no query, or a line of it is not UTF-8.
    """
    if source == "-":
        return _typed()
    with reachable(source):
        queries = [line.strip() for line in read_lines(source) if line.strip()]
    if not queries:
        raise InputError(f"{source} holds no query", hint="write one a line")
    return [(query, None) for query in queries]


def _typed() -> Iterator[tuple[str, InputError | None]]:
    """Yield lines of the standard input; at a terminal, each is asked for."""
    sign = "> " if sys.stdin.isatty() else ""
    number = 0
    while True:
        sys.stderr.write(sign)  # results alone go to stdout
        sys.stderr.flush()
        line = sys.stdin.buffer.readline()
        if not line:
            return
        number += 1
        encoding = "utf-8-sig" if number == 1 else "utf-8"
        try:
            text, fault = line.decode(encoding).strip(), None
        except UnicodeDecodeError:
            text = line.decode(encoding, errors="replace").strip()
            fault = InputError(f"line {number} of the standard input is not UTF-8")
        if text:
            yield text, fault
