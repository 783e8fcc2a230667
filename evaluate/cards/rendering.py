"""Cards from their templates, and their files."""

from collections.abc import Mapping
from typing import Any

from openalign.evaluate.cards.front_matter import to_yaml
from openalign.files import storage
from openalign.files.manifest import DataFile
from openalign.pages.templating import environment, templates_in

_template = templates_in("openalign.evaluate.cards")


def write_card(output: str, name: str, *, metadata: Mapping[str, Any], card: object) -> DataFile:
    """Write a card: its metadata, then the template of its folder's name, filled with `card`."""
    template = name.partition("/")[0] + ".md"
    text = f"---\n{to_yaml(metadata)}---\n\n{_render(template, card)}"
    written = storage.write_text(storage.join(output, name), text)
    return DataFile.of(name, written, num_rows=1)


def _render(template: str, card: object) -> str:
    return environment(_template, is_html=False).get_template(template).render(card=card)
