"""What `openalign search` looks for, and through: the embeddings of a run's evaluation."""

from collections.abc import Sequence

from openalign.errors import StageError
from openalign.evaluate.datasets.kinds import kind_of
from openalign.evaluate.search.query import Query
from openalign.evaluate.search.searcher import Searcher
from openalign.evaluate.tasks.kinds import query_weights
from openalign.files import storage
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
