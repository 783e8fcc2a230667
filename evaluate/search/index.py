"""The search index: unit embeddings of pictures, with a key and a path each.

Exact: below 100,000 pictures one product of a matrix and a vector takes milliseconds.

    embeddings/<dataset>-images.npy   float32, unit rows
    search/items.parquet              one row a picture: its key, its place, its row of embeddings
    search/folders.json               where the pictures lay on this machine; not part of the result
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

import io
import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openalign.errors import InputError
from openalign.evaluate.embeddings import embeddings_name
from openalign.evaluate.retrieval import Rows, best
from openalign.files import storage
from openalign.files.manifest import DataFile

ITEMS = "search/items.parquet"
FOLDERS = "search/folders.json"

_ITEM = pa.schema(
    [("key", pa.string()), ("dataset", pa.string()), ("path", pa.string()), ("row", pa.int64())]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A picture that can be found."""

    key: str
    """The data set's name, a slash, the picture's name."""

    dataset: str
    path: str
    """Below the data set's folder of pictures."""

    row: int
    """Of the data set's embeddings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A picture that was found."""

    key: str
    score: float
    """Cosine with the query."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchIndex:
    """Pictures and their embeddings, row by row."""

    items: Sequence[Item]
    image_GD: Rows
    folders: Mapping[str, str]
    """The folder of each data set's pictures; may be empty."""

    def path(self, item: Item) -> str:
        """Return where a picture lies, as far as this machine knows."""
        folder = self.folders.get(item.dataset)
        return storage.join(folder, item.path) if folder else item.path

    def nearest(self, query_D: Rows, k: int, *, without: str = "") -> list[Hit]:
        """Return the k pictures with the highest cosine, without the one that lies at `without`."""
        score_G = self.image_GD @ query_D
        found = (self._hit(place, score_G) for place in best(score_G, k + bool(without)))
        return [hit for hit in found if hit.path != without][:k]

    def _hit(self, place: int, score_G: Rows) -> Hit:
        item = self.items[place]
        return Hit(key=item.key, score=float(score_G[place]), path=self.path(item))


def write_items(output: str, items: Sequence[Item], folders: Mapping[str, str]) -> DataFile:
    """Write the list of pictures, and beside it where they lie."""
    table = pa.Table.from_pylist(
        [{"key": i.key, "dataset": i.dataset, "path": i.path, "row": i.row} for i in items],
        schema=_ITEM,
    )
    content = io.BytesIO()
    pq.write_table(table, content)
    written = storage.write_bytes(storage.join(output, ITEMS), content.getvalue())
    places = {name: _as_seen_from(output, folder) for name, folder in folders.items()}
    storage.write_text(storage.join(output, FOLDERS), json.dumps(places, sort_keys=True) + "\n")
    return DataFile(
        name=ITEMS, num_rows=len(items), num_bytes=written.num_bytes, sha256=written.sha256
    )


def load(folder: str, folders: Mapping[str, str] | None = None) -> SearchIndex:
    """Read the index that `evaluate` wrote; `folders` win over where it saw the pictures.

    Raises:
        InputError: there is none.
    """
    table = pq.read_table(io.BytesIO(storage.read_bytes(storage.join(folder, ITEMS))))
    items = [Item(**row) for row in table.to_pylist()]
    names = dict.fromkeys(item.dataset for item in items)
    rows_of = {name: _rows(folder, name) for name in names}
    beyond = [item.key for item in items if item.row >= len(rows_of[item.dataset])]
    if beyond:
        raise InputError(
            f"{folder}: the index lists {beyond[0]}, which has no embedding",
            hint="run `openalign evaluate` again",
        )
    image_GD = np.stack([rows_of[item.dataset][item.row] for item in items])
    return SearchIndex(
        items=items, image_GD=image_GD, folders=_folders(folder) | dict(folders or {})
    )


def _rows(folder: str, dataset: str) -> Rows:
    content = storage.read_bytes(storage.join(folder, embeddings_name(dataset, "images")))
    return np.load(io.BytesIO(content))


def _folders(folder: str) -> dict[str, str]:
    url = storage.join(folder, FOLDERS)
    if not storage.exists(url):
        return {}
    places: dict[str, str] = json.loads(storage.read_text(url))
    return {
        name: posixpath.normpath(storage.join(folder, place)) if place.startswith("../") else place
        for name, place in places.items()
    }


def _as_seen_from(output: str, folder: str) -> str:
    """Return a folder of the same run relative to the stage's, so that a run can be moved."""
    root = output.rstrip("/").rpartition("/")[0]
    inside = bool(root) and "://" not in root and folder.startswith(f"{root}/")
    return f"../{folder[len(root) + 1 :]}" if inside else folder
