"""How templates become a page or Markdown, and how both are written with the tables' files."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from openalign.evaluate.tables.export import files_of
from openalign.evaluate.tables.filling import ReportTables
from openalign.evaluate.tasks.kinds import KINDS
from openalign.files import storage
from openalign.files.manifest import DataFile
from openalign.files.names import TABLES_FOLDER
from openalign.pages.templating import environment, page_style, templates_in

_template = templates_in("openalign.evaluate.report")

OF_KIND = "kind/"
"""How the names of templates begin that a task kind offers: `kind/retrieval`."""

_STYLES = ("tables.css", "map.css", "fold.css")
_SCRIPTS = ("tables.js", "map.js", "fold.js")


def render(name: str, **values: Any) -> str:
    """Return a template filled with values; its name ends in `.html` or `.md`."""
    form = name.rpartition(".")[2]
    is_html = form == "html"

    def load(template: str) -> str:
        if template.startswith(OF_KIND):
            return KINDS[template.removeprefix(OF_KIND)].template(form)
        return _template(template)

    made = environment(load, is_html=is_html)
    made.filters["groupby_in_order"] = _runs_of
    if is_html:
        style, script = (
            Markup("".join(map(_template, names)))  # noqa: S704  # our own files
            for names in (_STYLES, _SCRIPTS)
        )
        values |= {"style": page_style() + style, "script": script}
    return made.get_template(name).render(**values)


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
