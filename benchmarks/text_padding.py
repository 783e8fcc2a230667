"""The text tower on padded texts and on packed ones: what padding costs a training step.

    .venv/bin/python benchmarks/text_padding.py --demo runs/demo      the demo's own texts
    .venv/bin/python benchmarks/text_padding.py --recipes demo --repeat 3    a quick look
    .venv/bin/python benchmarks/text_padding.py --recipes align --repeat 0   sums of FLOPs alone

A forward and a backward pass of the text tower over a block of a recipe of pipelines.yaml, with
its dropout, one thread, CPU time. The texts of the block are

    most      padded to `max_tokens`
    longest   padded to the longest of them, as training does
    groups    sorted, and cut into four groups, each padded to its longest
    packed    one behind the other in rows as long as the longest of them: positions begin anew
              with each text, a mask keeps attention within it, only ends of rows are padding

Before anything is timed, `groups` and `packed` must have the embeddings of `longest` within 1e-5,
and the gradient within 1e-5 of its length. The forms take turns, each round on another block; a
ratio is the median of the rounds'. Planning and filling rows is not counted. `whole step` adds the
image tower's passes, per pair; loss and optimizer would bring its ratios nearer to 1. The line of
FLOPs has the same ratios by multiplications, as if both towers were equally fast at them.

Lengths of texts are those of the demo's training manifest in its vocabulary, or are drawn: 3 words
or more, a geometric distribution with the mean of COYO-700M (11.13; its README gives no more than
mean and ends), of these the ones up to 20 that the paper keeps (ALIGN §3); a word is one piece or
more, 15.75 / 11.13 of them in the mean, as there. Large towers get a part of a block's texts, the
longest among them, and few images, whose batch norm is `local`.

Shape suffixes:
    b  texts of a block
    D  embedding width
    R  rows, T  their tokens
    H  width of a token
"""

# ruff: noqa: N806  # capitals are shape suffixes

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import AlignVisionModel

from openalign.run.config import load_pipeline
from openalign.train.config import TrainConfig
from openalign.train.data.preprocess import build_tokenizer
from openalign.train.data.vocabulary import load_vocabulary
from openalign.train.model.export import preprocess_of
from openalign.train.model.towers import Towers, align_config, build_towers
from openalign.train.presets import LocalBatchNorm

PIPELINES = str(Path(__file__).parents[1] / "pipelines.yaml")
FORMS = ("most", "longest", "groups", "packed")
NUM_GROUPS = 4
NUM_BLOCKS = 100
"""That the shares of padding are means over."""

LEAST_WORDS, MEAN_WORDS, MOST_WORDS = 3, 11.13, 20
MEAN_PIECES = 15.75 / MEAN_WORDS
NUM_MARKS = 2
"""Of a text's ends."""

PARTS = {"demo": (1, 64), "cc3m": (1, 8), "coyo": (8, 2), "align": (16, 1)}
"""Of a recipe: each how manieth text of a block is taken, and how many images are."""


@dataclass(frozen=True, slots=True)
class Filled:
    """Rows of tokens as the tower takes them."""

    ids: Tensor
    """`[R, T]`."""

    mask: Tensor
    """`[R, T]`, ones on tokens; packed `[R, 1, T, T]`, zeros within a text and -inf elsewhere."""

    positions: Tensor | None
    starts: Tensor
    """Places of the texts' first tokens in the flattened rows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=["demo", "cc3m", "coyo"], choices=PARTS)
    parser.add_argument("--demo", help="a finished demo's root; else the demo's lengths are drawn")
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for recipe in options.recipes:
        config = load_pipeline(PIPELINES, recipe).train
        if recipe == "demo" and options.demo:
            lengths = demo_lengths(Path(options.demo), config)
        else:
            lengths = drawn_lengths(100_000, config.model.max_tokens)
        tell_flops(recipe, config, lengths)
        if options.repeat:
            race(recipe, config, lengths, options.repeat)


def demo_lengths(root: Path, config: TrainConfig) -> np.ndarray:
    """Return the numbers of tokens of a demo's training texts."""
    texts = pl.read_parquet(root / "selected" / "training-*.parquet")["alt_text"].to_list()
    vocabulary = load_vocabulary(str(root / "train" / "vocabulary.txt"))
    tokenizer = build_tokenizer(vocabulary, preprocess_of(config.model))
    tokenizer.no_padding()
    return np.array([len(encoding.ids) for encoding in tokenizer.encode_batch(texts)])


def drawn_lengths(count: int, most: int) -> np.ndarray:
    """Return numbers of tokens as COYO's texts might have them, of those that the paper keeps."""
    rng = np.random.default_rng(0)
    words = LEAST_WORDS - 1 + rng.geometric(1 / (MEAN_WORDS - LEAST_WORDS + 1), 4 * count)
    words = words[words <= MOST_WORDS][:count]
    further = rng.negative_binomial(words, 1 / MEAN_PIECES)  # pieces beyond the first of each word
    return np.minimum(words + further + NUM_MARKS, most)


def tell_flops(recipe: str, config: TrainConfig, lengths: np.ndarray) -> None:
    """Print the ratios of a whole step by floating-point operations, of a forward pass."""
    described: Any = align_config(config.model, vocabulary_size=1)
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        side = config.model.crop_px
        tower = AlignVisionModel(described.vision_config).eval()
        tower(pixel_values=torch.empty(1, 3, side, side))
    image = counter.get_total_flops()
    blocks = drawn_blocks(lengths, config.global_batch_size // config.num_blocks)
    drawn = [next(blocks) for _ in range(NUM_BLOCKS)]
    shares = padding_of(drawn, config.model.max_tokens)
    tokens = float(np.mean([block.mean() for block in drawn]))
    width, layers = config.model.text_tower.shape.hidden_size, config.model.text_tower.shape[0]
    texts: dict[str, float] = {}
    for form in FORMS:
        slots = tokens / (1 - shares[form])
        seen = tokens / (1 - shares["longest"]) if form == "packed" else slots
        texts[form] = layers * slots * (24 * width**2 + 4 * seen * width)
    whole = [f"{form} {(image + texts['longest']) / (image + texts[form]):.3f}" for form in FORMS]
    print(f"{recipe}: FLOPs of a whole step: {', '.join(whole)}", flush=True)


def race(recipe: str, config: TrainConfig, lengths: np.ndarray, repeat: int) -> None:
    """Print a table's rows of a recipe."""
    model = config.model
    image_tower = replace(model.image_tower, batch_norm=LocalBatchNorm())
    config = replace(config, model=replace(model, image_tower=image_tower))
    towers = build_towers(config, vocabulary_size=model.vocabulary_size)
    every, num_images = PARTS[recipe]
    blocks = drawn_blocks(lengths, config.global_batch_size // config.num_blocks)
    check(towers, forms_of(next(blocks)[::every], model.max_tokens, model.vocabulary_size))
    shares = padding_of([next(blocks) for _ in range(NUM_BLOCKS)], model.max_tokens)
    pixels = torch.randn(num_images, 3, model.crop_px, model.crop_px)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    texts: dict[str, list[float]] = {form: [] for form in FORMS}
    images: list[float] = []

    def image_tower_passes() -> Tensor:
        return towers.align.vision_model(pixel_values=pixels).pooler_output

    for number in range(repeat + 1):
        block = next(blocks)[::every]
        made = forms_of(block, model.max_tokens, model.vocabulary_size)
        for form in FORMS:
            took = seconds(towers, lambda each=made[form]: embed(towers, each))
            texts[form].append(took / len(block))
        images.append(seconds(towers, image_tower_passes) / num_images)
        if number == 0:  # warms up
            texts, images = {form: [] for form in FORMS}, []
    print("| recipe | form | padding | text tower | beside `longest` | whole step |")
    print("|---|---|---|---|---|---|", flush=True)
    for form in FORMS:
        alone = median_ratio(texts["longest"], texts[form])
        whole = median_ratio(sums(images, texts["longest"]), sums(images, texts[form]))
        took = 1000 * statistics.median(texts[form])
        print(
            f"| `{recipe}` | {form} | {shares[form]:.0%} | {took:.2f} ms a text | {alone:.2f} | "
            f"{whole:.3f} |",
            flush=True,
        )
    ratio = median_ratio(texts["longest"], sums(images, texts["longest"]))
    print(
        f"{recipe}: {lengths.mean():.1f} tokens a text, an image takes "
        f"{1000 * statistics.median(images):.1f} ms, the text tower {ratio:.1%} of both",
        flush=True,
    )


def drawn_blocks(lengths: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield the lengths of the texts of blocks, the longest first."""
    rng = np.random.default_rng(1)
    while True:
        yield -np.sort(-rng.choice(lengths, size, replace=False))


def check(towers: Towers, made: dict[str, list[Filled]]) -> None:
    """Assert that all forms have the same embeddings and gradients, with dropout off."""
    towers.eval()
    texts = {form: embed(towers, made[form]) for form in FORMS}
    weights = torch.randn_like(texts["longest"])
    parameters = [*towers.align.text_model.parameters(), *towers.align.text_projection.parameters()]
    gradients: dict[str, Tensor] = {}
    for form, text_bD in texts.items():
        found = torch.autograd.grad((text_bD * weights).sum(), parameters)
        gradients[form] = torch.cat([each.flatten() for each in found])
    for form in FORMS:
        assert (texts[form] - texts["longest"]).abs().max() < 1e-5, form
        wrong = (gradients[form] - gradients["longest"]).norm() / gradients["longest"].norm()
        assert wrong < 1e-5, (form, wrong)
    towers.train()


def padding_of(blocks: Sequence[np.ndarray], most: int) -> dict[str, float]:
    """Return the share of padding among the tokens that the tower goes through, of each form."""
    tokens = sum(int(block.sum()) for block in blocks)
    slots = dict.fromkeys(FORMS, 0)
    for block in blocks:
        slots["most"] += most * len(block)
        slots["longest"] += int(block[0]) * len(block)
        slots["groups"] += sum(int(part[0]) * len(part) for part in groups(block))
        slots["packed"] += int(block[0]) * len(packed_rows(block, int(block[0])))
    return {form: 1 - tokens / slots[form] for form in FORMS}


def forms_of(block: np.ndarray, most: int, vocabulary_size: int) -> dict[str, list[Filled]]:
    """Return the same texts in each form; they are in the same order."""
    texts = [torch.randint(1, vocabulary_size, (int(length),)) for length in block]
    ends = np.cumsum([len(part) for part in groups(block)])
    starts = [0, *ends[:-1]]
    return {
        "most": [padded(texts, most)],
        "longest": [padded(texts, int(block[0]))],
        "groups": [
            padded(texts[start:end], int(block[start]))
            for start, end in zip(starts, ends, strict=True)
        ],
        "packed": [packed(texts, int(block[0]))],
    }


def groups(block: np.ndarray) -> list[np.ndarray]:
    return [part for part in np.array_split(block, NUM_GROUPS) if len(part)]


def padded(texts: Sequence[Tensor], width: int) -> Filled:
    """Return a row a text."""
    ids = torch.zeros(len(texts), width, dtype=torch.long)
    mask = torch.zeros(len(texts), width, dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return Filled(ids, mask, None, torch.arange(len(texts)) * width)


def packed_rows(lengths: Sequence[int] | np.ndarray, width: int) -> list[list[int]]:
    """Return the texts of each row: the longest first, each into the first row with room for it."""
    rows: list[list[int]] = []
    room: list[int] = []
    for number in np.argsort(-np.asarray(lengths), kind="stable").tolist():
        length = int(lengths[number])
        row = next((row for row, free in enumerate(room) if free >= length), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(width)
        rows[row].append(number)
        room[row] -= length
    return rows


def packed(texts: Sequence[Tensor], width: int) -> Filled:
    """Return texts one behind the other, none of them divided between two rows."""
    rows = packed_rows([len(text) for text in texts], width)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    positions = torch.zeros(len(rows), width, dtype=torch.long)
    owner = torch.full((len(rows), width), -1)
    starts = torch.zeros(len(texts), dtype=torch.long)
    for row, numbers in enumerate(rows):
        at = 0
        for number in numbers:
            end = at + len(texts[number])
            ids[row, at:end] = texts[number]
            positions[row, at:end] = torch.arange(end - at)
            owner[row, at:end] = number
            starts[number] = row * width + at
            at = end
    elsewhere = owner[:, None, :, None] != owner[:, None, None, :]
    mask = torch.zeros(elsewhere.shape).masked_fill(elsewhere, torch.finfo(torch.float32).min)
    return Filled(ids, mask, positions, starts)


def embed(towers: Towers, parts: Sequence[Filled]) -> Tensor:
    """Return the unit embeddings of texts, as `Towers` makes them."""
    firsts: list[Tensor] = []
    for part in parts:
        options: dict[str, Any] = {"position_ids": part.positions}
        hidden_RTH = towers.align.text_model(
            input_ids=part.ids, attention_mask=part.mask, **options
        ).last_hidden_state
        firsts.append(hidden_RTH.flatten(0, 1)[part.starts])
    return F.normalize(towers.align.text_projection(torch.cat(firsts)))


def seconds(towers: Towers, work: Callable[[], Tensor]) -> float:
    towers.zero_grad(set_to_none=True)
    started = time.process_time()
    work().square().sum().backward()
    return time.process_time() - started


def sums(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    return [one + other for one, other in zip(ones, others, strict=True)]


def median_ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))


if __name__ == "__main__":
    main()
