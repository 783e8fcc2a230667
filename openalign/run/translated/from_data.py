"""`openalign init NAME PATH`: a first pipeline over what somebody has, commented, and small.

It is looked at first: which columns a table has, how many rows, what a folder holds. The pipeline
ends within minutes on two cores; the comments say what to raise.
"""

import posixpath
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any, cast

from openalign.errors import ConfigError, InputError
from openalign.files import storage
from openalign.ingest.sources.table import TableSource
from openalign.ingest.web.config import WebConfig
from openalign.run.config import resolved
from openalign.run.settings_files import pipelines_in
from openalign.settings.limits import short_name
from openalign.settings.yaml_reader import did_you_mean, quoted
from openalign.train.saved_files import (
    CONFIG_FILE,
    PREPROCESS_FILE,
    PROCESSOR_FILES,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
)

_URLS = ("url", "URL", "image_url", "image_urls", "img_url", "src", "link")
_CAPTIONS = ("caption", "TEXT", "text", "captions", "alt_text", "alt", "title", "description")
"""What people call the two columns, the usual ones first."""

_ENDINGS = {"warc": (".warc", ".warc.gz", ".warc.zst"), "tars": (".tar",)}
_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
_TEXTS = (".txt", ".json")
NO_TOKENIZER = '    processor: ""'
"""The line of a model that cannot be measured before the folder of its processor is named."""

_LINES = (".tsv", ".csv", ".jsonl", ".txt")
"""Tables of a row a line."""

_MOST_BYTES_COUNTED = 16_000_000
"""Rows of larger files are not counted: there are more than few of them."""

_PACKED = 4
"""Texts are about so many times as long as their gzip."""

_FEW_ROWS = 20_000
_LARGEST_BATCH, _SMALLEST_BATCH = 64, 4

_WEB = Template(
    """\
  web:
    contact: $contact    # an e-mail address or a URL: hosts are told who asks
"""
)
_LIMIT = """\
  fetch:
    limit: 2000               # a first look; without this line, `fetch NAME --retry` goes on
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFound:
    """What the data is, as a pipeline says it."""

    lines: Sequence[str]
    """The section `source`, a line each."""

    found: str
    """What was seen of the data, for people."""

    num_rows: int | None = None
    asks_web: bool = False
    """Whether hosts are asked for pages or images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a person says of the data beside where it lies; empty where nothing is said."""

    kind: str = ""
    """One of `KINDS`."""

    contact: str = ""
    """An e-mail address or URL, which hosts are told."""

    url_column: str = ""
    caption_column: str = ""


def pipeline_text(name: str, path: str, told: Told) -> str:
    """Return a pipeline as it stands in a settings file.

    Args:
        name: what it is called.
        path: where the data lies.
        told: what else is known of it.

    Raises:
        ConfigError: the name cannot be that of a pipeline, or the kind cannot be told.
        InputError: nothing is there, or it cannot be read.
    """
    try:
        short_name(NAME=name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    chosen = told.kind or kind_of(path)
    if chosen not in KINDS:
        raise ConfigError(
            f"--from {chosen} is no kind of data",
            hint=did_you_mean(chosen, KINDS) or f"there are: {', '.join(KINDS)}",
        )
    try:
        WebConfig(contact=told.contact)
    except ValueError as error:
        raise ConfigError(f"--contact: {error}", hint="for example you@example.org") from error
    if chosen == "checkpoint":
        text = _measuring(name, path)
    else:
        text = _training(name, KINDS[chosen](path, told), told.contact)
    [node] = pipelines_in(text, f"the pipeline `{name}`").values()
    resolved(node, name=name, file=f"the pipeline `{name}`")
    return text


def kind_of(path: str) -> str:
    """Return what lies at a path: one of `KINDS`.

    Raises:
        InputError: nothing is there.
        ConfigError: it cannot be told.
    """
    from openalign.ingest.sources.url_tables.found import format_of

    if path.startswith(("http://", "https://")) and format_of(path) is None:
        return "warc" if path.lower().endswith(_ENDINGS["warc"]) else "site"
    for kind, endings in _ENDINGS.items():
        if path.lower().endswith(endings):
            return kind
    if format_of(path) is not None:
        return "table"
    if "*" not in path and not storage.exists(path):
        raise InputError(
            f"{path} is not there", hint="name a file, a folder, a pattern or an address"
        )
    names = storage.list_files(path)
    if CONFIG_FILE in names:
        return "checkpoint"
    held = {
        "warc": _ENDINGS["warc"],
        "tars": _ENDINGS["tars"],
        "folder": _IMAGES,
    }
    for kind, endings in held.items():
        if any(name.lower().endswith(endings) for name in names):
            return kind
    if any(format_of(name) is not None for name in names):
        return "table"
    raise ConfigError(
        f"{path}: what this is cannot be told",
        hint=f"say it with --from, as one of {', '.join(KINDS)}",
    )


def _table(path: str, told: Told) -> SourceFound:
    from openalign.ingest.sources.table_layouts import layout_of_row, layouts_with
    from openalign.ingest.sources.url_tables.formats import names_of_columns
    from openalign.ingest.sources.url_tables.found import table_files

    urls = table_files(path)
    found_in = ((url, list(names_of_columns(url, TableSource(path=path)))) for url in urls)
    first, names = next((each for each in found_in if each[1]), (urls[0], []))
    if not names:
        raise InputError(
            f"{first} is empty"
            if len(urls) == 1
            else f"all {len(urls):,} tables of {path} are empty",
            hint="a table has a row a pair: the address of an image, and its text",
        )
    _check_columns_told(first, names, told)
    head = ["kind: table", f"path: {quoted(path)}"]
    layout = layout_of_row(names) or next(iter(layouts_with(names)), "")
    if layout and not (told.url_column or told.caption_column):
        lines = [*head, f"layout: {layout}"]
        num_rows = _num_rows(urls, TableSource(path=path, layout=cast("Any", layout)))
        found = f"{_rows_in_words(num_rows, urls)}, as {layout} has them"
        return SourceFound(lines=lines, found=found, num_rows=num_rows, asks_web=True)
    url = told.url_column or next((name for name in _URLS if name in names), "")
    caption = told.caption_column or next((name for name in _CAPTIONS if name in names), "")
    if url not in names or caption not in names:
        raise InputError(
            f"{first} has the columns {', '.join(names)}, and none is known to hold "
            f"{'their texts' if url in names else 'the addresses of images'}",
            hint="name them: --url-column NAME --caption-column NAME",
        )
    lines = [*head, f"url_column: {quoted(url)}", f"caption_column: {quoted(caption)}"]
    if url == caption:
        raise ConfigError(
            f"addresses and texts cannot both be in the column `{url}`",
            hint="name two columns: --url-column NAME --caption-column NAME",
        )
    num_rows = _num_rows(urls, TableSource(path=path, url_column=url, caption_column=caption))
    found = _rows_in_words(num_rows, urls)
    others = [name for name in names if name not in (url, caption)]
    if others:
        found += f"; its other columns are {', '.join(others[:8])}"
    return SourceFound(lines=lines, found=found, num_rows=num_rows, asks_web=True)


def _check_columns_told(file: str, names: Sequence[str], told: Told) -> None:
    """See that a table has the columns that a person has named.

    Raises:
        InputError: it has not.
    """
    for name in (told.url_column, told.caption_column):
        if name and name not in names:
            raise InputError(
                f"{file}: there is no column `{name}`",
                hint=did_you_mean(name, names) or f"there are: {', '.join(names)}",
            )


def _rows_in_words(num_rows: int | None, urls: Sequence[str]) -> str:
    count = "rows" if num_rows is None else f"{num_rows:,} row{'' if num_rows == 1 else 's'}"
    return f"{count} in {len(urls):,} file{'' if len(urls) == 1 else 's'}"


def _site(path: str, _: Told) -> SourceFound:
    lines = [
        "kind: site",
        f"seeds: [{quoted(path)}]",
        "max_pages: 200    # more of a larger site; sitemaps are read, robots.txt is obeyed",
    ]
    return SourceFound(lines=lines, found="a web site", asks_web=True)


def _warc(path: str, _: Told) -> SourceFound:
    lines = ["kind: warc", f"path: {quoted(path)}    # .wat has the same pairs in a quarter"]
    return SourceFound(lines=lines, found="archives of web pages", asks_web=True)


def _tars(path: str, _: Told) -> SourceFound:
    lines = ["kind: tars", f"path: {quoted(path)}    # they stay where they are"]
    return SourceFound(lines=lines, found="tars of images and texts")


def _folder(path: str, _: Told) -> SourceFound:
    names = storage.list_files(path)
    images = [name for name in names if name.lower().endswith(_IMAGES)]
    if not images:
        raise InputError(
            f"{path} holds no image", hint="images have their texts beside them: a.jpg with a.txt"
        )
    texts = {posixpath.splitext(name)[0] for name in names if name.endswith(_TEXTS)}
    if not any(posixpath.splitext(name)[0] in texts for name in images):
        raise InputError(
            f"{path} holds images, such as {images[0]}, and no text beside any of them",
            hint="texts stand in a.txt or a.json beside a.jpg, or in a table (docs/own_images.md). "
            f"To search in images alone: openalign evaluate --model FOLDER --data images={path}",
        )
    lines = [
        "kind: local_files",
        f"path: {quoted(path)}    # a.jpg with a.txt or a.json beside",
    ]
    return SourceFound(lines=lines, found=f"{len(images):,} images", num_rows=len(images))


KINDS: Mapping[str, Callable[[str, Told], SourceFound]] = {
    "table": _table,
    "site": _site,
    "warc": _warc,
    "tars": _tars,
    "folder": _folder,
    "checkpoint": lambda *_: SourceFound(lines=(), found="a model"),
}
"""What people begin from."""


def _num_rows(urls: Sequence[str], source: TableSource) -> int | None:
    """Return the rows of Parquet files, which say it, or of small texts, which are read.

    Of other tables, and of those with a damaged file, None is returned.
    """
    from openalign.files.tables import num_rows_of
    from openalign.ingest.sources.url_tables.formats import read_rows

    if all(url.lower().endswith(".parquet") for url in urls):
        return sum(num_rows_of(url) for url in urls)
    is_text = all(url.lower().removesuffix(".gz").endswith(_LINES) for url in urls)
    packed = _PACKED if any(url.lower().endswith(".gz") for url in urls) else 1
    if not is_text or packed * sum(map(storage.size_of, urls)) > _MOST_BYTES_COUNTED:
        return None
    with suppress(InputError):
        parts = (part for url in urls for part in read_rows(url, source))
        return sum(part.batch.num_rows + part.num_bad for part in parts)
    return None


def _training(name: str, source: SourceFound, contact: str) -> str:
    """Return a pipeline from pairs to a model that is small enough to be there in minutes."""
    batch = _batch(source.num_rows)
    few = source.num_rows is not None and source.num_rows < _FEW_ROWS
    return _template("training").substitute(
        name=name,
        description=quoted(f"A first try: {source.found}"),
        web=_WEB.substitute(contact=quoted(contact)) if source.asks_web else "",
        source="\n".join(f"      {line}" for line in source.lines),
        at_least=1 if few else 2,
        limit=_LIMIT if source.asks_web else "",
        batch=batch,
        block=batch // 2,
    )


def _batch(num_rows: int | None) -> int:
    """Return a batch of which there are eight at least, if it need not be smaller than four."""
    batch = _LARGEST_BATCH
    while num_rows is not None and batch > _SMALLEST_BATCH and 8 * batch > num_rows:
        batch //= 2
    return batch


def _measuring(name: str, path: str) -> str:
    """Return a pipeline that measures a model."""
    from openalign.files.folder import opened

    with opened(path) as files:
        if CONFIG_FILE not in files.names:
            raise InputError(
                f"{path} holds no {CONFIG_FILE}", hint="name the folder of a Hugging Face model"
            )
        processor = _processor_line(files.names)
    return _template("measuring").substitute(name=name, model=quoted(path), processor=processor)


def _processor_line(names: Collection[str]) -> str:
    """Return the setting that a model needs which was saved without its processor, or may need."""
    if not {TOKENIZER_FILE, VOCABULARY_FILE} & set(names):
        return NO_TOKENIZER + "    # the model was saved without its processor: name its folder\n"
    if not {PREPROCESS_FILE, *PROCESSOR_FILES} & set(names):
        return (
            "    # The model has no preprocessor_config.json: images are prepared as the paper's. "
            "Else name it:\n    # processor: FOLDER\n"
        )
    return ""


def _template(name: str) -> Template:
    folder = resources.files("openalign.run.translated").joinpath("templates")
    return Template(folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
