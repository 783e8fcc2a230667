"""Work on CPUs with freed memory kept, beside the same with glibc's own rule.

    .venv/bin/python benchmarks/freed_memory.py                 B3 + Mini at 289 px, and the demo's
    .venv/bin/python benchmarks/freed_memory.py --sizes demo    the demo's size alone

The work is what `openalign.host_memory` is for: `embed`, the image tower without gradients, and
`train`, both towers forward and backward. Each run is a process of its own, on one thread. Figures
are milliseconds of CPU time a batch, page faults of a batch, and the most memory the process had.
The two take turns; a ratio is the median of the rounds', with the smallest and the largest.
"""

import argparse
import json
import resource
import statistics
from collections.abc import Callable
from typing import Any

import training_contestants
from contestants import child_words, cpu_seconds, one_run

from openalign.host_memory import keep_freed_memory

SKIPPED = 2
"""Batches before the clock starts."""

WORKS = ("embed", "train")


def work_of(name: str, size: training_contestants.Size) -> Callable[[], Any]:
    """Return what takes one batch."""
    import torch

    from openalign.train.model.towers import build_towers

    config = training_contestants.config_of(size, num_steps=1, cached=True, zero_stage=0, ranks=1)
    model: Any = build_towers(config, vocabulary_size=size.vocabulary).align
    pixels = torch.rand(size.batch, 3, size.crop_px, size.crop_px)
    pixels = pixels.to(memory_format=torch.channels_last)
    ids = torch.ones(size.batch, 16, dtype=torch.long)

    def embed() -> None:
        with torch.inference_mode():
            model.vision_model(pixels)

    def train() -> None:
        model.zero_grad()
        image = model.vision_model(pixels).pooler_output
        text = model.text_model(input_ids=ids).last_hidden_state
        (image.sum() + text.sum()).backward()

    model.train(name == "train")
    return {"embed": embed, "train": train}[name]


def run_child(words: list[str]) -> None:
    """Take batches, and print what one came to."""
    import torch

    rule, name, size, count = words
    if rule == "kept":
        assert keep_freed_memory()
    torch.set_num_threads(1)
    take = work_of(name, training_contestants.SIZES[size])
    for _ in range(SKIPPED):
        take()
    began, faults = cpu_seconds(), num_faults()
    for _ in range(int(count)):
        take()
    found = {
        "ms": (cpu_seconds() - began) / int(count) * 1e3,
        "faults": (num_faults() - faults) / int(count),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(found))


def num_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def race(size: str, name: str, *, repeat: int) -> None:
    """Print the two rules' figures, and their ratio."""
    count = "40" if size != "b3+mini" else "3"
    rounds = [
        {rule: one_run(rule, name, size, count) for rule in ("kept", "glibc")}
        for _ in range(repeat)
    ]
    for rule in ("kept", "glibc"):
        of_rule = [one[rule] for one in rounds]
        ms, faults, peak = (
            statistics.median(one[key] for one in of_rule) for key in ("ms", "faults", "peak_mib")
        )
        print(f"{size:8} {name:6} {rule:6}{ms:>9,.1f} ms{faults:>10,.0f} faults{peak:>7,} MiB")
    ratios = [one["glibc"]["ms"] / one["kept"]["ms"] for one in rounds]
    print(
        f"{size:8} {name}: {statistics.median(ratios):.2f} times the rate "
        f"({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )


def main() -> None:
    words = child_words()
    if words is not None:
        run_child(words)
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--sizes", nargs="+", choices=training_contestants.SIZES, default=["demo", "b3+mini"]
    )
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    for size in options.sizes:
        for name in options.works:
            race(size, name, repeat=options.repeat)


if __name__ == "__main__":
    main()
