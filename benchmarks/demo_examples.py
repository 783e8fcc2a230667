"""Which searches the demo's model answers rightly, whatever seed it was trained with.

    make demo
    .venv/bin/python benchmarks/demo.py --seeds 1 2 3 4 --no-lamb
    .venv/bin/python benchmarks/demo_examples.py runs/demo runs/demo-adamw-seed-{1,2,3,4}

The examples of README, `--help` and the docs are taken from what it prints, and
`tests/end_to_end/test_demo_examples.py` asks the demo every one of them. A query by words is
right where the first image's name holds all of them; an edit, where the first image is the one
that the benchmark names. Of a query that is right for every seed, the margin is the smallest by
which its best right image beats its best wrong one, in cosine.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openalign.evaluate.metrics.vectors import Vectors, unit_rows
from openalign.evaluate.search.searcher import Searcher

BENCHMARK = Path("site/benchmark")
TONE = "skin tone"
MOST_WORDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A finished demo: who answers, and what its images are called."""

    searcher: Searcher
    names: Sequence[str]
    """Of the images of the index, in its order."""

    @classmethod
    def open(cls, root: Path) -> "Demo":
        """Load the index and the model of a run."""
        searcher = Searcher.open(f"{root}/evaluate", model=f"{root}/train/export")
        return cls(searcher=searcher, names=[item.caption for item in searcher.index.items])

    def margins(self, queries: Vectors, is_right: Callable[[int, str], bool]) -> list[float]:
        """Return, query by query, by how much the best right image beats the best wrong one."""
        scores = queries @ self.searcher.index.image_GD.T
        found: list[float] = []
        for number, row in enumerate(scores):
            right = np.array([is_right(number, name) for name in self.names])
            found.append(float(row[right].max() - row[~right].max()) if right.any() else -1.0)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Searches that the demo answers rightly.")
    parser.add_argument("demos", type=Path, nargs="+", help="finished demos, a seed each")
    parser.add_argument("--top", type=int, default=25, help="how many of each kind are printed")
    options = parser.parse_args()
    demos = [Demo.open(root) for root in options.demos]
    splits = split_of_names(options.demos[0])
    words = sorted({name for name in splits if is_typed(name)})
    margins = [of_words(demo, words) for demo in demos]
    show("Words", zip(words, zip(*margins, strict=True), strict=True), options.top, splits)
    edits = json.loads((options.demos[0] / BENCHMARK / "composed.json").read_text())["queries"]
    margins = [of_edits(demo, edits) for demo in demos]
    said = [f"{each['image']} - {each['minus']} + {each['plus']}" for each in edits]
    show("Edits", zip(said, zip(*margins, strict=True), strict=True), options.top, {})


def split_of_names(root: Path) -> dict[str, str]:
    """Return the split of the image of each name."""
    images = json.loads((root / BENCHMARK / "dataset.json").read_text())["images"]
    return {image["sentences"][0]["raw"]: image["split"] for image in images}


def is_typed(name: str) -> bool:
    """Tell whether somebody would type a name who tries a search: a few plain words."""
    words = name.split()
    return len(words) <= MOST_WORDS and TONE not in name and all(map(str.isalpha, words))


def of_words(demo: Demo, queries: Sequence[str]) -> list[float]:
    """Return the margins of queries by words."""
    wanted = [set(query.split()) for query in queries]
    vectors = demo.searcher.embedder.embed_texts(queries)
    return demo.margins(vectors, lambda number, name: wanted[number] <= set(name.split()))


def of_edits(demo: Demo, edits: Sequence[dict[str, str]]) -> list[float]:
    """Return the margins of edits of an image, whose own image is no answer."""
    index, embedder = demo.searcher.index, demo.searcher.embedder
    row_of = {Path(item.path).name: row for row, item in enumerate(index.items)}
    texts = sorted({edit[part] for edit in edits for part in ("plus", "minus")})
    vector_of = dict(zip(texts, embedder.embed_texts(texts), strict=True))
    found: list[float] = []
    for edit in edits:
        own, target = row_of[edit["image"]], row_of[edit["target"]]
        vector = index.image_GD[own] + vector_of[edit["plus"]] - vector_of[edit["minus"]]
        scores = index.image_GD @ unit_rows(vector[None])[0]
        others = np.delete(scores, [own, target])
        found.append(float(scores[target] - others.max()))
    return found


def show(
    title: str,
    margins: Iterable[tuple[str, tuple[float, ...]]],
    top: int,
    splits: dict[str, str],
) -> None:
    """Print how many queries are right for each number of seeds, and the best of those for all."""
    found = sorted(((min(each), query) for query, each in margins), reverse=True)
    right = [(margin, query) for margin, query in found if margin > 0]
    print(f"{title}: {len(right)} of {len(found)} are right for every seed\n")
    for margin, query in right[:top]:
        print(f"{margin:6.3f}  {query}  {splits.get(query, '')}".rstrip())
    print()


if __name__ == "__main__":
    main()
