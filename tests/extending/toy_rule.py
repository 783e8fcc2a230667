"""A toy rule on texts: it drops alt-texts that contain a digit."""

# [rule]
from enum import StrEnum

import polars as pl

from openalign.filtering.config import TextRules
from openalign.filtering.counts.tokens import Bools
from openalign.filtering.rules.table import Rule
from openalign.filtering.rules.text import TextBatch, TextCorpus


class DigitState(StrEnum):
    """How a row ends here; a rule of the house has its line in `FilterState`."""

    DIGIT = "digit"


def has_digit(batch: TextBatch, _: TextCorpus, __: TextRules) -> Bools:
    """Tell which alt-texts contain a digit."""
    texts = pl.Series(batch.rows.column("alt_text"), dtype=pl.String)
    return texts.str.contains(r"\d").to_numpy()


RULE = Rule(DigitState.DIGIT, has_digit)
# [/rule]
