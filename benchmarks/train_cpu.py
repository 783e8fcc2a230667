"""Training on CPUs beside open_clip and beside bare towers, and what ZeRO-3 and LAMB cost.

    .venv/bin/python benchmarks/train_cpu.py                              the demo's size, 48 px
    .venv/bin/python benchmarks/train_cpu.py --sizes b3+mini --steps 1 --contestants zero_0 zero_3
    .venv/bin/python benchmarks/train_cpu.py --sizes tiny --steps 3 --turns 1    a smoke run

open_clip (3.3.0) and timm (1.0.31) come with the extra `names`. All contestants have towers of the
same sizes, resolution, tokens and batch, in fp32, and those that read are fed by the same
`TrainingSet`. Each is a process of its own:

    ours           the trainer: feed, towers, loss, LAMB under DeepSpeed, metrics; images in memory
    ours_decoding  the same; every image is read and decoded anew
    clip           open_clip's model, loss and PyTorch's AdamW as in its trainer; images in memory
    clip_decoding  the same; every image is decoded anew
    bare           both towers forward and backward on a batch that lies there; nothing else
    zero_0, zero_3 the trainer on batches that lie there, under two stages
    lamb, adamw    towers, loss and update without DeepSpeed, by our LAMB and by fused AdamW

All are alive together and take turns of a few steps, while the others stand still: the speed of a
shared machine changes from minute to minute. So memory must hold all of them, which at B3 are 4 GB
each. Figures are pairs a second of CPU time, or of the wall with `--clock wall`; starting and the
first two steps do not count. A ratio is the median over turns, with the quartiles. No turn begins
behind `--minutes`. `--ranks 2` trains `ours`, `zero_0` and `zero_3` on two ranks.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from contestants import child_words, in_turns
from feed import write_corpus
from training_contestants import SIZES, run_child

GOALS = (
    ("ours", "clip", 1.0),
    ("ours_decoding", "clip_decoding", 1.0),
    ("ours", "bare", 0.95),
    ("ours_decoding", "bare", 0.85),
    ("zero_3", "zero_0", 1 / 1.15),
    ("lamb", "adamw", 1 / 1.05),
)
"""Of the rates: a step of at most 1.15 times another's has a rate of at least 1 / 1.15 of it."""

CONTESTANTS = tuple(dict.fromkeys(name for *pair, _ in GOALS for name in pair))
IMAGES = 256


def race(options: argparse.Namespace, size: str) -> None:
    """Print what each contestant comes to, and the ratios that have a goal."""
    rates: dict[str, list[float]] = {name: [] for name in options.contestants}
    ends = time.monotonic() + options.minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), SIZES[size].stored, IMAGES)
        given = (size, folder, str(options.steps), str(options.ranks))
        with in_turns({name: (name, *given) for name in rates}, folder=folder) as take_turn:
            for number in range(options.turns):
                if number and time.monotonic() > ends:
                    print(f"{size:8} no time is left for more than {number} turns", flush=True)
                    break
                for name, of_one in rates.items():
                    seconds = take_turn(name)[options.clock]
                    of_one.append(SIZES[size].batch * options.steps / seconds)
                shown = "".join(f"{name:>14}{of_one[-1]:>8,.2f}" for name, of_one in rates.items())
                print(f"{size:8} turn {number + 1:2}{shown}", flush=True)
    for name, of_one in rates.items():
        print(f"{size:8} {name:14}{statistics.median(of_one):>10,.2f} pairs/s")
    for ours, theirs, goal in GOALS:
        if ours in rates and theirs in rates:
            ratios = [one / two for one, two in zip(rates[ours], rates[theirs], strict=True)]
            low, middle, high = statistics.quantiles(ratios) if ratios[1:] else ratios * 3
            print(
                f"{size:8} {ours} beside {theirs}: {middle:.3f} ({low:.3f} to {high:.3f}), "
                f"goal {goal:.2f}",
                flush=True,
            )


def main() -> None:
    """Run and print."""
    if (words := child_words()) is not None:
        run_child(words)
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["demo"], choices=list(SIZES))
    parser.add_argument("--contestants", nargs="+", default=CONTESTANTS, choices=CONTESTANTS)
    parser.add_argument("--steps", type=int, default=10, help="of a turn")
    parser.add_argument("--turns", type=int, default=20, help="of each, at most")
    parser.add_argument("--minutes", type=float, default=15.0, help="for the turns of a size")
    parser.add_argument("--clock", default="cpu", choices=["cpu", "wall"])
    parser.add_argument("--ranks", type=int, default=1, help="of the trainer; by the wall's clock")
    chosen = parser.parse_args()
    if chosen.ranks > 1 and chosen.clock != "wall":
        parser.error("the CPU time of several ranks is not added up: --clock wall")
    print(f"{chosen.clock} clock, {chosen.ranks} ranks, turns of {chosen.steps} steps")
    for size in chosen.sizes:
        race(chosen, size)


if __name__ == "__main__":
    main()
