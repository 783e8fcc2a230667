"""What a report is told of a run: its pairs, and which stages the cards tell of."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from openalign.amounts import time_in_words
from openalign.files.manifest import DataFile, Manifest
from openalign.files.names import TRAINING_PAIRS
from openalign.run.contract import Run
from openalign.run.times import times_taken

if TYPE_CHECKING:
    from openalign.evaluate.report.gallery import Selected
    from openalign.evaluate.report.provenance import MadeStage


def selected_of(run: Run) -> "Selected":
    """Return where the training pairs of a run lie, and their images."""
    from openalign.evaluate.report.gallery import Selected

    return Selected(
        pairs=run.urls("select", TRAINING_PAIRS),
        shards=run.folder("fetch").url,
        places=run.folder("fetch").require().places,
    )


def made_stages(run: Run, names: Iterable[str]) -> "list[MadeStage]":
    """Return when those of these stages were made of which the run's log says it."""
    from openalign.evaluate.report.provenance import MadeStage

    taken = times_taken(run)
    return [
        MadeStage(name=name, day=time.day, took=time_in_words(time.seconds), machine=time.machine)
        for name in names
        if (time := taken.get(name)) is not None
    ]


def write_cards(run: Run, manifests: Mapping[str, Manifest], *, output: str) -> list[DataFile]:
    """Write a model card where a model was measured, a data card where the run gathered pairs.

    `manifests` are those of the stages that the report tells of: an evaluation of another model
    has none of training and gathering among them.
    """
    from openalign.evaluate.cards import data_card, model_card
    from openalign.pages import funnel

    report = run.config.report
    title = report.title or run.config.name
    cards: list[DataFile] = []
    if "evaluate" in manifests:
        cards.append(
            model_card.write(
                evaluated=run.folder("evaluate").url,
                train=manifests.get("train"),
                output=output,
                title=title,
                license=report.license,
                credits=report.credits,
            )
        )
    if "select" in manifests:
        facts = [stage.facts for stage in run.stages.values()]
        gathering = {each.name for each in facts if each.drops}
        gathered = data_card.Gathered(
            harvest=manifests["harvest"],
            fetch=manifests["fetch"],
            select=manifests["select"],
            funnel=funnel.build(manifests, facts),
            manifests={name: each for name, each in manifests.items() if name in gathering},
        )
        cards.append(data_card.write(gathered, output=output, title=title, credits=report.credits))
    return cards
