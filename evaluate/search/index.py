"""The search index: unit embeddings of images, with a key and a path each.

Exact: below 100,000 images one product of a matrix and a vector takes milliseconds.

    embeddings/<benchmark>-images.npy   float32, unit rows
    search/items.parquet                one row an image: its key, its path, what its data set
                                        calls it, its row of embeddings
    search/folders.json                 where the images lay on this machine; not part of the result
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

import io
import json
import os.path
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openalign.errors import InputError
from openalign.evaluate.embedding.chunks import load_rows
from openalign.evaluate.metrics.vectors import Vectors, best
from openalign.evaluate.results import made_anew
from openalign.files import storage
from openalign.files.manifest import DataFile
from openalign.files.names import SEARCH_FOLDERS_FILE, SEARCH_ITEMS_FILE, embeddings_file
from openalign.files.tables import read_whole

_HERE = "./"
"""Begins the folder of a data set that is seen from the current one, and leads up."""

_MOST_COSINE = 1.001
"""Unit rows in float32 have cosines of up to a millionth above 1."""

_FOLDERS = msgspec.json.Decoder(dict[str, str])

_ITEM = pa.schema(
    [
        ("key", pa.string()),
        ("dataset", pa.string()),
        ("path", pa.string()),
        ("caption", pa.string()),
        ("row", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An image that can be found."""

    key: str
    """The benchmark's name, a slash, the image's name."""

    dataset: str
    """The benchmark's name."""

    path: str
    """Below the benchmark's folder of images."""

    row: int
    """Of the benchmark's embeddings."""

    caption: str = ""
    """Its first caption, or the name of its class; empty where it has neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An image that was found."""

    key: str
    score: float
    """Cosine with the query."""

    path: str
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchIndex:
    """Images and their embeddings, row by row."""

    items: Sequence[Item]
    image_GD: Vectors
    folders: Mapping[str, str]
    """The folder of each benchmark's images; may be empty."""

    def path(self, item: Item) -> str:
        """Return where an image lies, as far as this machine knows."""
        folder = self.folders.get(item.dataset)
        return storage.join(folder, item.path) if folder else item.path

    def nearest(self, query_D: Vectors, k: int, *, without: str = "") -> list[Hit]:
        """Return the k images with the highest cosine, without the one that lies at `without`.

        Data sets spell their folders as they were given: from here, from the root, or as URLs.

        Raises:
            InputError: the cosine of an image is none, as where its embedding is damaged.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            score_G = self.image_GD @ query_D
        self._check(score_G)
        found = (self._hit(place, score_G) for place in best(score_G, k + bool(without)))
        gone = without and _place(without)
        return [hit for hit in found if not gone or _place(hit.path) != gone][:k]

    def _check(self, score_G: Vectors) -> None:
        wrong = np.flatnonzero(~(np.abs(score_G) <= _MOST_COSINE))
        if len(wrong):
            item = self.items[int(wrong[0])]
            raise InputError(
                f"{item.key} has the cosine {score_G[wrong[0]]:.3g}: its embedding is damaged",
                hint=made_anew(f"{embeddings_file(item.dataset, 'images')} in the evaluation"),
            )

    def _hit(self, place: int, score_G: Vectors) -> Hit:
        item = self.items[place]
        return Hit(
            key=item.key,
            score=float(score_G[place]),
            path=self.path(item),
            caption=item.caption,
        )


def write_items(output: str, items: Sequence[Item], folders: Mapping[str, str]) -> DataFile:
    """Write the list of images, and beside it where they lie."""
    table = pa.Table.from_pylist(
        [{name: getattr(item, name) for name in _ITEM.names} for item in items], schema=_ITEM
    )
    content = io.BytesIO()
    pq.write_table(table, content)
    written = storage.write_bytes(storage.join(output, SEARCH_ITEMS_FILE), content.getvalue())
    listed = {name: _as_seen_from(output, folder) for name, folder in folders.items()}
    storage.write_text(
        storage.join(output, SEARCH_FOLDERS_FILE), json.dumps(listed, sort_keys=True) + "\n"
    )
    return DataFile.of(SEARCH_ITEMS_FILE, written, num_rows=len(items))


def load_index(folder: str, folders: Mapping[str, str] | None = None) -> SearchIndex:
    """Read the index that `evaluate` wrote; `folders` win over where it saw the images.

    Raises:
        InputError: there is none, it is damaged, or it has no image.
    """
    url = storage.join(folder, SEARCH_ITEMS_FILE)
    table = read_whole(url, _ITEM, what="a list of images", hint=made_anew(url))
    items = [Item(**row) for row in table.to_pylist()]
    if not items:
        raise InputError(
            f"{folder}: no image was embedded, so there is none to find",
            hint="measure a benchmark that has images",
        )
    names = dict.fromkeys(item.dataset for item in items)
    rows_of = {
        name: load_rows(storage.join(folder, embeddings_file(name, "images"))) for name in names
    }
    beyond = [item.key for item in items if not 0 <= item.row < len(rows_of[item.dataset])]
    if beyond:
        raise InputError(
            f"{folder}: the index lists {beyond[0]}, which has no embedding",
            hint=made_anew(folder),
        )
    return SearchIndex(
        items=items,
        image_GD=_in_order_of(items, rows_of),
        folders=folders_in(folder) | dict(folders or {}),
    )


def _place(path: str) -> str:
    """Return a path as it is from the root, links not followed; a URL as it is."""
    return os.path.abspath(storage.local_path(path)) if storage.is_local(path) else path  # noqa: PTH100


def _in_order_of(items: Sequence[Item], rows_of: Mapping[str, Vectors]) -> Vectors:
    """Return a row for each image; those of one file, in its order, stay where they are on disk."""
    if len(rows_of) == 1:
        (rows,) = rows_of.values()
        if [item.row for item in items] == list(range(len(rows))):
            return rows
    return np.stack([rows_of[item.dataset][item.row] for item in items])


def folders_in(folder: str) -> dict[str, str]:
    """Return where `evaluate` saw the images of each benchmark, as it is seen from here.

    Raises:
        InputError: the list cannot be read.
    """
    url = storage.join(folder, SEARCH_FOLDERS_FILE)
    if not storage.exists(url):
        return {}
    try:
        listed = _FOLDERS.decode(storage.read_bytes(url))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{url}: is not a list of folders: {error}",
            hint="remove it: a search of a pipeline goes by the folders that are set there",
        ) from error
    return {
        name: posixpath.normpath(storage.join(folder, path))
        if path.startswith("../")
        else path.removeprefix(_HERE)
        for name, path in listed.items()
    }


def _as_seen_from(output: str, folder: str) -> str:
    """Return a folder of the same run relative to the stage's, so that a run can be moved.

    Another that leads up from the current folder is marked as such.
    """
    root = output.rstrip("/").rpartition("/")[0]
    if root and "://" not in root and folder.startswith(f"{root}/"):
        return f"../{folder[len(root) + 1 :]}"
    return f"{_HERE}{folder}" if folder.startswith("../") else folder
