"""The funnel: what each rule of each stage dropped, from the stages' manifests alone.

The terminal shows it when a stage kept nothing, and the report always.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from openalign.files.facts import JudgedFacts, StageFacts
from openalign.files.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelRow:
    """One rule, or one way in which a fetch fails."""

    stage: str
    rule: str
    rows_in: int
    """Rows that reached it."""

    dropped: int
    left: int
    alone: int | None
    """Rows that it would drop as the stage's only rule; None for a stage without rules."""

    only: int | None
    """Rows that no other rule of the stage would drop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelStage:
    """One stage: rows in, rows out, and its rules in their order."""

    stage: str
    rows_in: int
    left: int
    rows: tuple[FunnelRow, ...]


def build(
    manifests: Mapping[str, Manifest], stages: Iterable[StageFacts]
) -> tuple[FunnelStage, ...]:
    """Return the funnel of the stages that are complete; `manifests` is by stage name."""
    return tuple(
        _stage(stage, manifests[stage.name])
        for stage in stages
        if stage.drops and stage.name in manifests
    )


def _stage(stage: StageFacts, manifest: Manifest) -> FunnelStage:
    effects = {effect.rule: effect for effect in manifest.facts_as(JudgedFacts).rules}
    left = manifest.num_inputs
    rows: list[FunnelRow] = []
    for state in stage.drops:
        dropped = manifest.states.get(state, 0)
        if not (dropped or stage.shows_all_drops):
            continue
        effect = effects.get(state)
        rows.append(
            FunnelRow(
                stage=stage.name,
                rule=state,
                rows_in=left,
                dropped=dropped,
                left=left - dropped,
                alone=effect.alone if effect else None,
                only=effect.only if effect else None,
            )
        )
        left -= dropped
    return FunnelStage(stage=stage.name, rows_in=manifest.num_inputs, left=left, rows=tuple(rows))


def rows_of(funnel: Iterable[FunnelStage]) -> list[FunnelRow]:
    """Return every row of a funnel, in order."""
    return [row for stage in funnel for row in stage.rows]


def render(funnel: Iterable[FunnelStage]) -> str:
    """Return the funnel as text for a terminal; rules that dropped nothing are left out.

    `alone` is what a rule would drop as the only one, `only` what no other rule would; both are
    left out where no rule has dropped anything.
    """
    funnel = tuple(funnel)
    table = [["", "in", "dropped", "left", "alone", "only"]]
    for stage in funnel:
        table.append([stage.stage, f"{stage.rows_in:,}", "", f"{stage.left:,}", "", ""])
        table.extend(
            [
                f"  {row.rule}",
                "",
                f"{row.dropped:,}",
                f"{row.left:,}",
                _number(row.alone),
                _number(row.only),
            ]
            for row in stage.rows
            if row.dropped or row.alone
        )
    if not legend(funnel):
        table = [line[:-2] for line in table]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = (
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in table
    )
    return "\n".join(line.rstrip() for line in lines)


def legend(funnel: Iterable[FunnelStage]) -> str:
    """Return what the headings of a funnel mean; empty where it shows no rule's effects."""
    if not any(row.alone for row in rows_of(funnel)):
        return ""
    return "alone: what the rule would drop as the only one; only: what no other rule would"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
