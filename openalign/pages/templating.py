"""How templates of pages and of Markdown are filled: what they may ask of their values."""

from collections.abc import Callable
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from openalign.pages.markdown import cell, code


def environment(load: Callable[[str], str], *, is_html: bool) -> Environment:
    """Return what templates are filled in; `load` returns a template's text by its name.

    In HTML every value is escaped. In Markdown the filters `cell` and `code` do it.
    """
    made = Environment(
        loader=FunctionLoader(load),
        autoescape=is_html,  # noqa: S701  # Markdown is not HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["cell"] = cell
    made.filters["code"] = code
    made.filters["thousands"] = lambda number: f"{number:,}"
    made.filters["words"] = lambda name: name.replace("_", " ")
    made.globals["svg"] = Markup
    return made


def page_style() -> Markup:
    """Return the style that every page shares; colors follow the reader's light or dark theme."""
    return Markup(templates_in("openalign.pages")("page.css"))  # noqa: S704  # our own file


def templates_in(package: str) -> Callable[[str], str]:
    """Return what reads a file of a package's folder `templates`."""

    def template(name: str) -> str:
        return (files(package) / "templates" / name).read_text(encoding="utf-8")

    return template
