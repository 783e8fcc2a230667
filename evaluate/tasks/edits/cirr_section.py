"""What the report shows of CIRR: each method's numbers, and some queries with images."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number
from openalign.evaluate.drawing.tiles import ShownQuery, Tiles
from openalign.evaluate.tasks.contract import FinishedTask, recall_at
from openalign.evaluate.tasks.edits.cirr import (
    MEAN,
    RECALL_AT,
    SUBSET_RECALL_AT,
    CirrFacts,
    subset_recall_at,
)
from openalign.evaluate.tasks.edits.edits import EditExamples
from openalign.evaluate.tasks.edits.edits_section import MethodRow, drawn_and_worst, method_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class CirrSection:
    """A task's numbers and examples."""

    name: str
    facts: CirrFacts
    weights: str
    everywhere: Sequence[MethodRow]
    in_group: Sequence[MethodRow]
    """Within the group, and the mean of R@5 and this at 1."""

    drawn: Sequence[ShownQuery]
    worst: Sequence[ShownQuery]
    num_sampled: int
    opening: Sequence[tuple[str, Number]] = ()


def section(task: FinishedTask[CirrFacts], examples: EditExamples, tiles: Tiles) -> CirrSection:
    """Return what the template shows of one task."""
    prefix, facts = f"cirr/{task.name}", task.facts
    drawn, worst = drawn_and_worst(examples, "", tiles)
    in_group = [*(subset_recall_at(k) for k in SUBSET_RECALL_AT), MEAN]
    return CirrSection(
        name=task.name,
        facts=facts,
        weights=f"{facts.image_weight:g} : {facts.text_weight:g}",
        everywhere=method_rows(task.results, prefix, (recall_at(k) for k in RECALL_AT)),
        in_group=method_rows(task.results, prefix, in_group),
        drawn=drawn,
        worst=worst,
        num_sampled=len(examples.queries),
    )
