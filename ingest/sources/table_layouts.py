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
    """Return the layouts whose columns of URLs and captions are among the names."""
    return [
        name
        for name, layout in LAYOUTS.items()
        if not layout.header and layout.url in names and layout.caption in names
    ]
