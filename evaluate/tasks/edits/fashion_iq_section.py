"""What the report shows of FashionIQ: each category's numbers, and some queries with images."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number
from openalign.evaluate.drawing.tiles import ShownQuery, Tiles
from openalign.evaluate.tasks.contract import FinishedTask, recall_at
from openalign.evaluate.tasks.edits.edits import EditExamples
from openalign.evaluate.tasks.edits.edits_section import MethodRow, drawn_and_worst, method_rows
from openalign.evaluate.tasks.edits.fashion_iq import MEAN, RECALL_AT, CategoryFacts, FashionIqFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class CategorySection:
    """One category's numbers and examples."""

    category: str
    facts: CategoryFacts
    rows: Sequence[MethodRow]
    drawn: Sequence[ShownQuery]
    worst: Sequence[ShownQuery]


@dataclass(frozen=True, slots=True, kw_only=True)
class FashionIqSection:
    """A task's numbers and examples."""

    name: str
    facts: FashionIqFacts
    weights: str
    means: Sequence[MethodRow]
    """Means over categories of R@10 and R@50, and the mean of both."""

    categories: Sequence[CategorySection]
    opening: Sequence[tuple[str, Number]] = ()


def section(
    task: FinishedTask[FashionIqFacts], examples: EditExamples, tiles: Tiles
) -> FashionIqSection:
    """Return what the template shows of one task."""
    prefix, facts = f"fashion_iq/{task.name}", task.facts
    lasts = [recall_at(k) for k in RECALL_AT]
    categories: list[CategorySection] = []
    for category, of_category in facts.categories.items():
        drawn, worst = drawn_and_worst(examples, category, tiles)
        categories.append(
            CategorySection(
                category=category,
                facts=of_category,
                rows=method_rows(task.results, f"{prefix}/{category}", lasts),
                drawn=drawn,
                worst=worst,
            )
        )
    return FashionIqSection(
        name=task.name,
        facts=facts,
        weights=f"{facts.image_weight:g} : {facts.text_weight:g}",
        means=method_rows(task.results, f"{prefix}/{MEAN}", [*lasts, MEAN]),
        categories=categories,
    )
