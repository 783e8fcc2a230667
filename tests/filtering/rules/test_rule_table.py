"""Flags, the first rule that drops a row, and what each rule did."""

from enum import StrEnum

import numpy as np
import pytest

from openalign.files.facts import RuleEffect
from openalign.filtering.counts.tokens import Bools, Ints
from openalign.filtering.rules.table import (
    MAX_RULES,
    Rule,
    ask_rules,
    dropped_by,
    first_rule,
    names_of,
    pack,
    rule_effects,
)


class Size(StrEnum):
    SMALL = "small"
    ODD = "odd"


def is_small(sizes: Ints, corpus: set[int], below: int) -> Bools:
    del corpus
    return sizes < below


def is_odd(sizes: Ints, corpus: set[int], below: int) -> Bools:
    del below
    return np.array([size in corpus for size in sizes.tolist()])


TABLE = (Rule(Size.SMALL, is_small), Rule(Size.ODD, is_odd))


def test_every_rule_is_asked_about_every_row() -> None:
    flags = ask_rules(TABLE, np.array([1, 2, 3, 4]), {1, 3}, 3)

    assert flags.tolist() == [0b11, 0b01, 0b10, 0]
    assert dropped_by(Size.ODD, flags, TABLE).tolist() == [True, False, True, False]
    assert first_rule(flags, names_of(TABLE)).to_list() == ["small", "small", "odd", None]


def test_a_row_has_the_first_of_its_reasons() -> None:
    flags = pack([np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)])

    assert flags.tolist() == [0, 2, 1, 3]
    assert first_rule(flags, ("first", "second")).to_list() == [None, "second", "first", "first"]


def test_effects_tell_first_alone_and_only() -> None:
    # 5 rows kept, 3 dropped by a alone, 2 by b alone, 4 by a and b, 1 by b and c.
    effects = rule_effects({0: 5, 1: 3, 2: 2, 3: 4, 6: 1}, ("a", "b", "c"))

    assert effects == [
        RuleEffect(rule="a", dropped=7, alone=7, only=3),
        RuleEffect(rule="b", dropped=3, alone=7, only=2),
        RuleEffect(rule="c", dropped=0, alone=1, only=0),
    ]


def test_a_table_holds_as_many_rules_as_flags_have_bits() -> None:
    yes, no = np.array([True]), np.array([False])
    names = [str(i) for i in range(MAX_RULES)]

    last = pack([no] * (MAX_RULES - 1) + [yes])

    assert last.tolist() == [1 << 15]
    assert first_rule(last, names).to_list() == ["15"]
    with pytest.raises(AssertionError, match="a table of 17 rules"):
        pack([no] * (MAX_RULES + 1))
