"""Reads the file of composed queries.

{"queries": [{"image": "a.png", "minus": "dark", "plus": "light", "target": "b.png",
              "kind": "tone"}, ...]}
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage, places_by_name
from openalign.files import storage


class ComposedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One query as the file has it."""

    image: str
    """Name or file name of the image to start from."""

    minus: str = ""
    plus: str = ""
    """Words to take away and to add; one of the two may be empty."""

    target: str
    """Name or file name of the image that must be found."""

    kind: str = ""
    """What is changed; results are given kind by kind. Empty, it is `all`."""


class _QueryFile(msgspec.Struct, frozen=True):
    queries: Annotated[list[ComposedQuery], msgspec.Meta(min_length=1)]


ALL = "all"
"""The kind of queries of which the file says none."""

_MOST_CHARACTERS = 80
"""Of a kind: it is a part of metrics' names, and a heading of the report."""

_DECODER = msgspec.json.Decoder(_QueryFile)
_FORMAT = 'the format is {"queries": [{"image", "minus", "plus", "target", "kind"}, ...]}'


def read_queries(
    path: str, images: Sequence[BenchmarkImage], *, left_out: Collection[str] = ()
) -> list[ComposedQuery]:
    """Return the queries of a file about these images, by the images' whole names.

    A query that names an image of `left_out` is dropped.

    Raises:
        InputError: the file is not of that form, a query names an image that is not there, or none
            is left.
    """
    try:
        entries = _DECODER.decode(storage.read_bytes(path)).queries
    except msgspec.ValidationError as error:
        of_query = re.search(r"`\$\.queries\[(\d+)\]", str(error))
        where = f"query {of_query[1]}: " if of_query else ""
        raise InputError(f"{path}: {where}{error}", hint=_FORMAT) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not JSON: {error}") from error
    places = places_by_name(images)
    names = {called: images[place].name for called, place in places.items()}
    gone = frozenset(left_out).union(name.rpartition("/")[2] for name in left_out)
    left = [
        _checked(f"{path}: query {number}", entry, names)
        for number, entry in enumerate(entries)
        if not any(name in gone and name not in names for name in (entry.image, entry.target))
    ]
    if not left:
        raise InputError(f"{path}: every query is about an image that is left out")
    return left


def words_of(queries: Iterable[ComposedQuery]) -> list[str]:
    """Return every text that the queries add or take away, once and sorted."""
    return sorted({text for query in queries for text in (query.minus, query.plus) if text})


def _checked(where: str, entry: ComposedQuery, names: Mapping[str, str]) -> ComposedQuery:
    for key, name in (("image", entry.image), ("target", entry.target)):
        if name not in names:
            raise InputError(f"{where}: `{key}` {name} is not an image of the benchmark")
    image, target = names[entry.image], names[entry.target]
    if image == target:
        raise InputError(f"{where}: `target` is the query image, which is not in the gallery")
    query = msgspec.structs.replace(
        entry,
        image=image,
        target=target,
        minus=entry.minus.strip(),
        plus=entry.plus.strip(),
        kind=_checked_kind(where, entry.kind.strip()),
    )
    if not (query.minus or query.plus):
        raise InputError(f"{where}: `minus` and `plus` are both empty")
    return query


def _checked_kind(where: str, kind: str) -> str:
    """Return a kind, which becomes a part of metrics' names."""
    if len(kind) > _MOST_CHARACTERS:
        raise InputError(
            f"{where}: `kind` must have at most {_MOST_CHARACTERS} characters, got {len(kind):,}"
        )
    if "/" in kind or not kind.isprintable():
        raise InputError(
            f"{where}: `kind` must be printable characters without `/`, got {kind!r}",
            hint="a kind is a part of metrics' names, such as composed/edits/color/combined/top_1",
        )
    return kind or ALL
