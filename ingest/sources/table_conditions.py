"""Conditions on a row's other columns, such as `similarity >= 0.3` or `LANGUAGE in en, de`."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_FORM = re.compile(r"\s*(\S.*?)\s*(>=|<=|==|!=|>|<|(?<=\s)(?:not\s+)?in(?=\s))\s*(\S.*?)\s*")
_ORDERS = (">=", "<=", ">", "<")


@dataclass(frozen=True, slots=True)
class Condition:
    """What a column must hold for its row to be read."""

    column: str
    operator: str
    """`>=`, `<=`, `>` or `<`, which compare numbers; `in` or `not in`."""

    values: tuple[str, ...]

    @property
    def compares_numbers(self) -> bool:
        """Tell whether the order of numbers decides."""
        return self.operator in _ORDERS


def parse_condition(text: str) -> Condition:
    """Return the condition that `COLUMN OPERATOR VALUE` states.

    `==` and `!=` are `in` and `not in` with one value.

    Raises:
        ValueError: the text has another form, or a bound is no number.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(
            f"where must hold conditions such as `similarity >= 0.3` or `LANGUAGE in en, de`, "
            f"got {text!r}"
        )
    column, operator, value = form.groups()
    if operator in _ORDERS:
        if not _is_number(value):
            raise ValueError(f"where compares with a number after {operator}, got {text!r}")
        return Condition(column, operator, (value,))
    if operator in ("==", "!="):
        return Condition(column, "in" if operator == "==" else "not in", (_unquoted(value),))
    values = value.removeprefix("[").removesuffix("]").split(",")
    return Condition(column, " ".join(operator.split()), tuple(_unquoted(v) for v in values))


def holds(condition: Condition, column: "pl.Series") -> "pl.Series":
    """Return, row by row, whether a condition holds; it does not where the column says nothing.

    A text that is no number says nothing to a comparison of numbers. NaN says nothing either.
    """
    import polars as pl

    if column.dtype == pl.Duration:
        column = column.cast(pl.Int64)  # polars has no text for it
    if condition.compares_numbers:
        numbers = column.cast(pl.Float64, strict=False).fill_nan(None)
        bound = float(condition.values[0])
        compared = {
            ">=": numbers >= bound,
            "<=": numbers <= bound,
            ">": numbers > bound,
            "<": numbers < bound,
        }[condition.operator]
        return compared.fill_null(value=False)
    if column.dtype.is_numeric() and all(_is_number(value) for value in condition.values):
        is_among = column.cast(pl.Float64).is_in([float(value) for value in condition.values])
    else:
        is_among = column.cast(pl.String).is_in(list(condition.values))
    is_wanted = is_among if condition.operator == "in" else ~is_among
    return is_wanted.fill_null(value=False)


def _is_number(value: str) -> bool:
    try:
        return float(value) == float(value)  # NaN is none
    except ValueError:
        return False


def _unquoted(value: str) -> str:
    value = value.strip()
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value
