"""The columns of published tables, so that a setting can name the table instead of them.

A layout is a table as its authors publish it. Copies with other columns are named column by column.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which column of a table holds what; an empty name stands for none."""

    url: str
    caption: str
    header: tuple[str, ...] = ()
    """Names of all columns, where the files have no line of names."""

    language: str = ""
    sha256: str = ""


_BY_DEFAULT = Layout(url="url", caption="caption")

LAYOUTS = {
    "cc3m": Layout(url="url", caption="caption", header=("caption", "url")),
    "cc12m": Layout(url="url", caption="caption", header=("url", "caption")),
    "laion": Layout(url="URL", caption="TEXT"),
    "coyo": Layout(url="url", caption="text"),
    "datacomp": Layout(url="url", caption="text", sha256="sha256"),
    "redcaps": Layout(url="url", caption="caption"),
    "sbu": Layout(url="image_urls", caption="captions"),
}


def layouts_with(names: list[str]) -> list[str]:
    """Return the layouts whose columns of URLs and captions are among the names.

    Left out are those whose columns have the names that need no setting.
    """
    return [
        name
        for name, layout in LAYOUTS.items()
        if not layout.header and layout != _BY_DEFAULT and {layout.url, layout.caption} <= {*names}
    ]


def layout_of_row(cells: list[str]) -> str:
    """Return the layout without a line of names that a row may be of; empty for none.

    A row is told by one of its cells: an address.
    """
    places = [place for place, cell in enumerate(cells) if "://" in cell]
    found = (
        name
        for name, layout in LAYOUTS.items()
        if layout.header
        and len(layout.header) == len(cells)
        and places == [layout.header.index(layout.url)]
    )
    return next(found, "")
