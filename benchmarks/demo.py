"""The demo over several seeds, and with LAMB: retrieval and composed queries against chance.

    make demo
    .venv/bin/python benchmarks/demo.py                     # seeds 0, 1, 2 and one run with LAMB
    .venv/bin/python benchmarks/demo.py --seeds 3 4 --no-lamb

Each run trains anew on the finished demo's data (linked, not copied) and is evaluated as ever. A
row is a run; `x chance` is its text-to-image R@1 in the test gallery over that of a random order.
"""

import argparse
import os
import shutil
import time
from pathlib import Path

from openalign import cli
from openalign.evaluate.results import Results, read

DATA = ("site", "candidates", "filtered", "shards", "selected")
SPLIT = "retrieval/openmoji/split"
GALLERY = "retrieval/openmoji/gallery"
LAMB = "train.optimizer={kind: lamb, learning_rate: 7.0e-3}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"), help="a finished demo")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--no-lamb", action="store_true", help="leave out the run with LAMB")
    options = parser.parse_args()
    runs = {f"AdamW, seed {seed}": [f"train.seed={seed}"] for seed in options.seeds}
    if not options.no_lamb:
        runs["LAMB, seed 0"] = ["train.seed=0", LAMB]
    print("Edits: top-1 of picture - word + word / of the picture alone.\n")
    print("| run | t2i R@1/5/10 | i2t | t2i, all pictures | x chance | tones | genders | s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, settings in runs.items():
        label = name.lower().replace(",", "").replace(" ", "-")
        root = options.demo.with_name(f"{options.demo.name}-{label}")
        link_data(options.demo, root)
        flags = [flag for setting in [f"root={root}", *settings] for flag in ("--set", setting)]
        started = time.monotonic()
        if cli.main(["train", "demo", *flags]) != 0:
            raise SystemExit(1)
        seconds = time.monotonic() - started
        if cli.main(["run", "demo", *flags]) != 0:
            raise SystemExit(1)
        print(row(name, read(f"{root}/evaluate/results.json"), seconds), flush=True)


def link_data(demo: Path, root: Path) -> None:
    """Give a run the finished demo's data, as hard links: the same bytes, at no cost."""
    for folder in DATA:
        if not (root / folder).exists():
            shutil.copytree(demo / folder, root / folder, copy_function=os.link)


def row(name: str, results: Results, seconds: float) -> str:
    def recalls(prefix: str) -> str:
        values = [results.metric(f"{prefix}/recall_at_{k}").value for k in (1, 5, 10)]
        return " / ".join(f"{100 * value:.1f}" for value in values)

    def edits(kind: str) -> str:
        combined = results.metric(f"composed/edits/{kind}/combined/top_1").value
        alone = results.metric(f"composed/edits/{kind}/image_only/top_1").value
        return f"{100 * combined:.1f} / {100 * alone:.1f}"

    first = results.metric(f"{SPLIT}/text_to_image/recall_at_1")
    cells = [
        name,
        recalls(f"{SPLIT}/text_to_image"),
        recalls(f"{SPLIT}/image_to_text"),
        recalls(f"{GALLERY}/text_to_image"),
        f"{first.value / first.chance:.0f}",
        edits("tone"),
        edits("gender"),
        f"{seconds:.0f} s",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
