from dataclasses import dataclass, field

import yaml

from openalign.settings.explained import explained


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item."""

    path: str
    """A file; its name is long enough to need a second line, since a comment is wrapped where it \
would pass the hundredth column."""

    weights: tuple[float, ...] = (1.0, 2.0)
    """Weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The whole."""

    name: str = ""
    """Its name."""

    text: str = "a: b # c"
    """A text that YAML must quote."""

    items: tuple[Item, ...] = ()
    """Items."""

    by_name: dict[str, Item] = field(default_factory=dict[str, Item])
    """Items by name."""

    none: Item | None = None
    """No item."""


def test_each_setting_stands_below_its_sentence() -> None:
    whole = Whole(items=(Item(path="a"), Item(path="b")), by_name={"n: 1": Item(path="c")})

    assert (
        explained("x", whole, without={"name"})
        == """\
x:
  # A text that YAML must quote.
  text: 'a: b # c'
  # Items.
  items:
  - # A file; its name is long enough to need a second line, since a comment is wrapped where it
    # would pass the hundredth column.
    path: a
    # Weights.
    weights:
    - 1.0
    - 2.0
  - # A file; its name is long enough to need a second line, since a comment is wrapped where it
    # would pass the hundredth column.
    path: b
    # Weights.
    weights:
    - 1.0
    - 2.0
  # Items by name.
  by_name:
    'n: 1':
      # A file; its name is long enough to need a second line, since a comment is wrapped where it
      # would pass the hundredth column.
      path: c
      # Weights.
      weights:
      - 1.0
      - 2.0
  # No item.
  none: null
"""
    )


def test_the_text_is_yaml_for_the_same_values() -> None:
    whole = Whole(items=(Item(path="a"),), by_name={"n: 1": Item(path="c")})

    assert yaml.safe_load(explained("yes", whole)) == {
        "yes": {
            "name": "",
            "text": "a: b # c",
            "items": [{"path": "a", "weights": [1.0, 2.0]}],
            "by_name": {"n: 1": {"path": "c", "weights": [1.0, 2.0]}},
            "none": None,
        }
    }
