"""How templates become a page or Markdown, and how both are written with the tables' files."""

import itertools
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from openalign.evaluate.drawing.markdown import cell
from openalign.evaluate.tables.export import files_of
from openalign.evaluate.tables.filling import ReportTables
from openalign.evaluate.tasks.kinds import KINDS
from openalign.files import storage
from openalign.files.manifest import DataFile
from openalign.files.names import TABLES_FOLDER

OF_KIND = "kind/"
"""How the names of templates begin that a task kind offers: `kind/retrieval`."""

_STYLES = ("report.css", "tables.css")
_SCRIPT = "tables.js"


def render(name: str, **values: Any) -> str:
    """Return a template filled with values; its name ends in `.html` or `.md`."""
    form = name.rpartition(".")[2]
    is_html = form == "html"

    def load(template: str) -> str:
        if template.startswith(OF_KIND):
            return KINDS[template.removeprefix(OF_KIND)].template(form)
        return _template(template)

    environment = Environment(
        loader=FunctionLoader(load),
        autoescape=is_html,  # noqa: S701  # in Markdown, the filter `cell` does it
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["words"] = lambda name: name.replace("_", " ")
    environment.filters["cell"] = cell
    environment.filters["groupby_in_order"] = _runs_of
    environment.globals["svg"] = Markup
    if is_html:
        style = "".join(map(_template, _STYLES))
        values |= {"style": Markup(style), "script": Markup(_template(_SCRIPT))}  # noqa: S704  # our own files
    return environment.get_template(name).render(**values)


def write(output: str, pages: Mapping[str, str], tables: ReportTables) -> list[DataFile]:
    """Write pages by their names, and the files of the tables beside them."""
    of_tables = {f"{TABLES_FOLDER}/{name}": text for name, text in files_of(tables).items()}
    return [
        DataFile.of(name, storage.write_text(storage.join(output, name), text), num_rows=1)
        for name, text in {**pages, **of_tables}.items()
    ]


def _runs_of(items: Iterable[Any], attribute: str) -> list[tuple[Any, list[Any]]]:
    """Return neighbors of one value together, with the value; jinja's own `groupby` sorts."""
    found = itertools.groupby(items, lambda item: getattr(item, attribute))
    return [(value, list(members)) for value, members in found]


def _template(name: str) -> str:
    return (files("openalign.evaluate.report") / "templates" / name).read_text(encoding="utf-8")
