"""What text and image rules share: a bit a rule, the first that drops a row, and their effects."""

import numpy as np
import numpy.typing as npt
import polars as pl

from openalign.files.facts import RuleEffect

Flags = npt.NDArray[np.uint8]


def pack(by_rule: list[npt.NDArray[np.bool_]]) -> Flags:
    """Return one byte a row; bit i is the answer of rule i."""
    flags = np.zeros(len(by_rule[0]), np.uint8)
    for bit, dropped in enumerate(by_rule):
        flags |= dropped.astype(np.uint8) << np.uint8(bit)
    return flags


def first_rule(flags: Flags, names: tuple[str, ...]) -> pl.Series:
    """Return, row by row, the first rule that drops the row, or null to keep it."""
    by_flags = [
        next((name for bit, name in enumerate(names) if flag >> bit & 1), None)
        for flag in range(1 << len(names))
    ]
    return pl.Series("reason", by_flags, dtype=pl.String).gather(flags.astype(np.uint32))


def rule_effects(num_by_flags: dict[int, int], names: tuple[str, ...]) -> list[RuleEffect]:
    """Return what each rule did, from how many rows have each combination of flags."""
    effects: list[RuleEffect] = []
    for bit, name in enumerate(names):
        mine = {flags: n for flags, n in num_by_flags.items() if flags >> bit & 1}
        first = 1 << bit
        effects.append(
            RuleEffect(
                rule=name,
                dropped=sum(n for flags, n in mine.items() if flags & -flags == first),
                alone=sum(mine.values()),
                only=mine.get(first, 0),
            )
        )
    return effects
