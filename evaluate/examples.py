"""What the report shows beside numbers: some queries, what was found first, and small pictures.

Which queries are shown is drawn by the hash of their text before anything is known of their
success, so the share of failures among them is that of the benchmark.
"""

# ruff: noqa: N803  # capitals are shape suffixes

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from openalign.evaluate.datasets.karpathy import BenchmarkImage
from openalign.evaluate.retrieval import Rows, best
from openalign.files import storage
from openalign.files.hashing import hash64
from openalign.files.manifest import DataFile

EXAMPLES = "examples.json"
THUMBNAILS = "thumbnails.parquet"
FIRST = 5
"""Results that are shown of a query."""

THUMBNAIL_PX = 128

_THUMBNAIL = pa.schema(
    [
        ("dataset", pa.string()),
        ("name", pa.string()),
        ("caption", pa.string()),
        ("webp", pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """A caption and the picture it belongs to."""

    image: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextQuery:
    """A caption and the pictures found for it in its split."""

    caption: str
    image: str
    rank: int
    """Place of the right picture; 1 is the first."""

    first: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageQuery:
    """A picture and the captions found for it in its split."""

    image: str
    captions: tuple[str, ...]
    rank: int
    """Place of its best own caption; 1 is the first."""

    first: tuple[Caption, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetExamples:
    """Some queries of a data set."""

    dataset: str
    text_to_image: tuple[TextQuery, ...]
    image_to_text: tuple[ImageQuery, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedExample:
    """A composed query and the pictures found for it."""

    image: str
    minus: str
    plus: str
    target: str
    kind: str
    rank: int
    image_only_rank: int
    first: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedExamples:
    """Some queries of a set of composed queries."""

    name: str
    dataset: str
    image_weight: float
    plus_weight: float
    minus_weight: float
    queries: tuple[ComposedExample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """All of `examples.json`."""

    datasets: tuple[DatasetExamples, ...] = ()
    composed: tuple[ComposedExamples, ...] = ()

    def pictures(self) -> dict[str, set[str]]:
        """Return the names of all pictures that are shown, by data set."""
        shown: dict[str, set[str]] = {}
        for dataset in self.datasets:
            names = shown.setdefault(dataset.dataset, set())
            for query in dataset.text_to_image:
                names |= {query.image, *query.first}
            names |= {query.image for query in dataset.image_to_text}
        for queries in self.composed:
            names = shown.setdefault(queries.dataset, set())
            for query in queries.queries:
                names |= {query.image, query.target, *query.first}
        return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A small picture and what it shows."""

    caption: str
    webp: bytes


def sample(keys: Sequence[str], num: int) -> list[int]:
    """Return the places of `num` keys, drawn by their hash; fewer keys are all taken."""
    return sorted(sorted(range(len(keys)), key=lambda at: (hash64(keys[at]), at))[:num])


def nearest(query_QD: Rows, gallery_GD: Rows, k: int = FIRST) -> list[list[int]]:
    """Return the places of each query's k best items."""
    return [best(score_G, k) for score_G in query_QD @ gallery_GD.T]


def to_json(examples: Examples) -> str:
    """Return the text of `examples.json`."""
    return json.dumps(asdict(examples), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read(url: str) -> Examples:
    """Read an `examples.json`."""
    values = json.loads(storage.read_bytes(url))
    return Examples(
        datasets=tuple(_dataset(entry) for entry in values["datasets"]),
        composed=tuple(
            ComposedExamples(
                **{
                    **entry,
                    "queries": tuple(
                        ComposedExample(**{**query, "first": tuple(query["first"])})
                        for query in entry["queries"]
                    ),
                }
            )
            for entry in values["composed"]
        ),
    )


def _dataset(entry: Mapping[str, Any]) -> DatasetExamples:
    return DatasetExamples(
        dataset=entry["dataset"],
        text_to_image=tuple(
            TextQuery(**{**query, "first": tuple(query["first"])})
            for query in entry["text_to_image"]
        ),
        image_to_text=tuple(
            ImageQuery(
                **{
                    **query,
                    "captions": tuple(query["captions"]),
                    "first": tuple(Caption(**caption) for caption in query["first"]),
                }
            )
            for query in entry["image_to_text"]
        ),
    )


def write_thumbnails(output: str, pictures: Iterable[tuple[str, BenchmarkImage]]) -> DataFile:
    """Write small copies of pictures, each with its data set's name and its first caption."""
    rows = [
        {
            "dataset": dataset,
            "name": image.name,
            "caption": image.captions[0],
            "webp": thumbnail(storage.read_bytes(image.url)),
        }
        for dataset, image in pictures
    ]
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_THUMBNAIL), content)
    written = storage.write_bytes(storage.join(output, THUMBNAILS), content.getvalue())
    return DataFile(
        name=THUMBNAILS, num_rows=len(rows), num_bytes=written.num_bytes, sha256=written.sha256
    )


def read_thumbnails(url: str) -> dict[tuple[str, str], Thumbnail]:
    """Return the small pictures by (data set, name)."""
    table = pq.read_table(io.BytesIO(storage.read_bytes(url)))
    return {
        (row["dataset"], row["name"]): Thumbnail(caption=row["caption"], webp=row["webp"])
        for row in table.to_pylist()
    }


def thumbnail(content: bytes) -> bytes:
    """Return a picture as WebP of at most `THUMBNAIL_PX` a side, transparency on white."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content)) as file:
        image = ImageOps.exif_transpose(file).convert("RGBA")
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    paper = Image.new("RGBA", image.size, "white")
    small = io.BytesIO()
    Image.alpha_composite(paper, image).convert("RGB").save(small, "WEBP", quality=82, method=4)
    return small.getvalue()
