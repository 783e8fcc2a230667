"""Shared parts of text and image rules: the table, a bit a rule, and what each rule did.

Every rule of a table is asked about every row, so the funnel can also say what a rule would drop
alone. The first rule that drops a row is the row's reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from openalign.files.facts import RuleEffect
from openalign.filtering.counts.tokens import Bools

Flags = npt.NDArray[np.uint16]
"""One number a row: bit i is set where rule i of a table drops the row."""

MAX_RULES = 16
"""Rules that a table can hold: the bits of a flag."""

Batch_contra = TypeVar("Batch_contra", contravariant=True)
Corpus_contra = TypeVar("Corpus_contra", contravariant=True)
Settings_contra = TypeVar("Settings_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Rule(Generic[Batch_contra, Corpus_contra, Settings_contra]):
    """One line of a table of rules."""

    state: StrEnum
    """How the rows end that the rule drops; its value is the rule's name everywhere."""

    drops: Callable[[Batch_contra, Corpus_contra, Settings_contra], Bools]
    """Tells which rows of a batch the rule drops, from the batch, what is known of the corpus, and
    the settings; a pure function."""


def names_of(table: Sequence[Rule[Any, Any, Any]]) -> tuple[str, ...]:
    """Return the names of a table's rules, in the order in which they are asked."""
    return tuple(rule.state.value for rule in table)


def ask_rules(
    table: Sequence[Rule[Batch_contra, Corpus_contra, Settings_contra]],
    batch: Batch_contra,
    corpus: Corpus_contra,
    settings: Settings_contra,
) -> Flags:
    """Return the flags of a batch: the answer of every rule about every row."""
    return pack([rule.drops(batch, corpus, settings) for rule in table])


def pack(by_rule: Sequence[Bools]) -> Flags:
    """Return the flags of rows, from each rule's answers."""
    assert 1 <= len(by_rule) <= MAX_RULES, f"a table of {len(by_rule)} rules"
    flags = np.zeros(len(by_rule[0]), np.uint16)
    for bit, dropped in enumerate(by_rule):
        flags |= dropped.astype(np.uint16) << np.uint16(bit)
    return flags


def dropped_by(state: StrEnum, flags: Flags, table: Sequence[Rule[Any, Any, Any]]) -> Bools:
    """Tell which rows one rule drops, whatever the others say."""
    return (flags >> np.uint16(names_of(table).index(state.value)) & 1).astype(bool)


def first_rule(flags: Flags, names: Sequence[str]) -> pl.Series:
    """Return, row by row, the name of the first rule that drops the row, or null to keep it."""
    lowest = flags & -flags  # the lowest bit that is set
    place = np.where(flags == 0, len(names), np.bitwise_count(lowest - np.uint16(1)))
    return pl.Series("reason", [*names, None], dtype=pl.String).gather(place.astype(np.uint32))


def rule_effects(num_by_flags: dict[int, int], names: Sequence[str]) -> list[RuleEffect]:
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
