"""Cards from their templates, and their files."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from openalign.evaluate.cards.front_matter import to_yaml
from openalign.evaluate.drawing import markdown
from openalign.files import storage
from openalign.files.manifest import DataFile


def write_card(output: str, name: str, *, metadata: Mapping[str, Any], card: object) -> DataFile:
    """Write a card: its metadata, then the template of its folder's name, filled with `card`."""
    template = name.partition("/")[0] + ".md"
    text = f"---\n{to_yaml(metadata)}---\n\n{_render(template, card)}"
    written = storage.write_text(storage.join(output, name), text)
    return DataFile.of(name, written, num_rows=1)


def _render(template: str, card: object) -> str:
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=False,  # noqa: S701  # Markdown: the filters `cell` and `code` do it
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["words"] = lambda name: name.replace("_", " ")
    environment.filters["cell"] = markdown.cell
    environment.filters["code"] = markdown.code
    return environment.get_template(template).render(card=card)


def _template(name: str) -> str:
    return (files("openalign.evaluate.cards") / "templates" / name).read_text(encoding="utf-8")
