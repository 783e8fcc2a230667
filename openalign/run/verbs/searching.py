"""What `openalign search` looks for, and through: the embeddings of a run's evaluation."""

from collections.abc import Sequence

from openalign.evaluate.datasets.kinds import kind_of
from openalign.evaluate.search.query import Query
from openalign.evaluate.search.searcher import Searcher
from openalign.evaluate.tasks.kinds import query_weights
from openalign.run.contract import Run
from openalign.run.measured_model import model_url


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
