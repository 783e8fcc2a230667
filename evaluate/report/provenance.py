"""Where the training pairs came from and how training went, for the report."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from openalign.files import storage
from openalign.files.facts import (
    HELD_OUT,
    DroppedExample,
    FilterFacts,
    FrequentText,
    JudgedFacts,
    StageFacts,
    TrainFacts,
)
from openalign.files.manifest import Manifest
from openalign.files.names import EXPORT_FOLDER, METRICS_FILE
from openalign.pages import charts
from openalign.telemetry import read_json_lines
from openalign.train.saved_files import WEIGHTS_FILE

_ROWS_LOOKED_AT = 200_000
"""Drops are shown from the first rows of a stage's files: a report must not read them all."""

_EXAMPLES = 3
_TEXTS = 10
_COLUMNS = ["key", "state", "alt_text", "image_url"]

_TOWERS = {"vision_model": "image", "text_model": "text"}
_OF_PARAMETERS = ("weight", "bias")
"""How the names of parameters end; batch norm's statistics have other ones."""

_LOSS = "train/loss"
_VALIDATION_LOSS = "validation/loss"
_CURVES = (
    (_LOSS, "Loss", "sum of both directions' cross-entropies (Eq. 1 and 2)"),
    (_VALIDATION_LOSS, "Loss in validation", "the same, on pairs that training does not see"),
    ("train/temperature", "Temperature", "the learned scalar that divides the cosines"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeStage:
    """When a stage was made, and how."""

    name: str
    day: str
    """A date in UTC."""

    took: str
    """How long, in words."""

    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A row that a rule dropped."""

    text: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedBy:
    """What one rule dropped, with some examples."""

    stage: str
    rule: str
    num_rows: int
    examples: Sequence[Reject]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A metric over the steps of training."""

    name: str
    explained: str
    svg: str
    first: str
    last: str


def rejects(
    manifests: Mapping[str, Manifest], folders: Mapping[str, str], stages: Sequence[StageFacts]
) -> list[RejectedBy]:
    """Return examples of what each stage dropped, the largest drops of a stage first."""
    found: list[RejectedBy] = []
    for stage in stages:
        if not stage.drops or stage.name not in manifests:
            continue
        manifest = manifests[stage.name]
        if stage.row_files:
            names = manifest.names(stage.row_files)
            examples = _from_rows([storage.join(folders[stage.name], n) for n in names], stage)
        else:
            examples = manifest.facts_as(JudgedFacts).examples
        rules = sorted(examples, key=lambda rule: (-manifest.states.get(rule, 0), rule))
        found += [
            RejectedBy(
                stage=stage.name,
                rule=rule,
                num_rows=manifest.states[rule],
                examples=[
                    Reject(text=row.alt_text, where=row.image_url)
                    for row in examples[rule][:_EXAMPLES]
                ],
            )
            for rule in rules
            if manifest.states.get(rule)
        ]
    return found


def frequent_texts(manifests: Mapping[str, Manifest]) -> list[FrequentText]:
    """Return the alt-texts that were dropped most often."""
    found = _facts_of_filter(manifests)
    return [] if found is None else found.top_texts[:_TEXTS]


def vocabulary_note(manifests: Mapping[str, Manifest]) -> str:
    """Return, in words, where the line between frequent and rare n-grams came to lie."""
    found = _facts_of_filter(manifests)
    if found is None:
        return ""
    ngrams = found.ngrams
    return (
        f"Frequent n-grams are {ngrams.rule}: {ngrams.num_unigrams_kept:,} of "
        f"{ngrams.num_unigrams:,} unigrams and {ngrams.num_bigrams_kept:,} of "
        f"{ngrams.num_bigrams:,} bigrams of the raw corpus. They are compared as 64-bit hashes; "
        f"{ngrams.expected_wrongly_kept:.1e} rare ones are expected to pass for a frequent one."
    )


def _facts_of_filter(manifests: Mapping[str, Manifest]) -> FilterFacts | None:
    """Return the facts of the stage that judges alt-texts by their n-grams, where there is one."""
    found = (m.facts_as(FilterFacts) for m in manifests.values() if "ngrams" in m.facts)
    return next(found, None)


def training_note(folder: str, manifests: Mapping[str, Manifest]) -> str:
    """Return, in words, how long the training of a folder was, and of how many parameters."""
    if "train" not in manifests:
        return parameters_note(folder)
    manifest = manifests["train"]
    facts = manifest.facts_as(TrainFacts)
    pairs = manifest.num_inputs - manifest.states.get(HELD_OUT, 0)
    batch = int(manifest.settings["settings"].get("global_batch_size", 0))
    note = f"{facts.steps:,} updates"
    if batch and pairs:
        note += f" of {batch:,} pairs"
        note += f": {facts.steps * batch / pairs:,.1f} passes over {pairs:,} pairs"
    note += f". The vocabulary has {facts.vocabulary_size:,} word pieces."
    if facts.exported_step is not None:
        note += f" The weights are those of update {facts.exported_step:,}, the best in validation."
    if facts.skipped_steps:
        note += f" {facts.skipped_steps:,} updates were skipped."
    return f"{note} {parameters_note(folder)}".rstrip()


def parameters_note(folder: str) -> str:
    """Return, in words, how many parameters the towers of a training folder's export have.

    Only the header of the weights is read. Empty where there are none in one file.
    """
    url = storage.join(folder, EXPORT_FOLDER, WEIGHTS_FILE)
    if not storage.exists(url):
        return ""
    length = int.from_bytes(storage.read_range(url, 0, 8), "little")
    header = json.loads(storage.read_range(url, 8, length))
    counts = dict.fromkeys(_TOWERS, 0)
    for name, entry in header.items():
        tower = name.partition(".")[0]
        if tower in counts and name.rpartition(".")[2] in _OF_PARAMETERS:
            counts[tower] += math.prod(entry["shape"])
    said = (f"the {_TOWERS[tower]} tower {count / 1e6:,.2f}" for tower, count in counts.items())
    return f"Of parameters {' and '.join(said)} million."


def _loss_of_chance(manifests: Mapping[str, Manifest]) -> float | None:
    """Return the loss of a model that takes every pair of a batch for equally likely.

    That is twice the logarithm of the global batch: the loss sums both directions (Eq. 1 and 2),
    and label smoothing does not change it. None where pairs of one image are left out of each
    other's negatives, which batches then decide.
    """
    if "train" not in manifests:
        return None
    settings = manifests["train"].settings["settings"]
    batch = int(settings.get("global_batch_size", 0))
    if batch < 1 or settings.get("same_image_negatives") == "mask":
        return None
    return 2 * math.log(batch)


def curves(folder: str, manifests: Mapping[str, Manifest]) -> list[Curve]:
    """Return the curves of a training folder; none where it holds no metrics."""
    url = storage.join(folder, METRICS_FILE)
    if not storage.exists(url):
        return []
    rows = read_json_lines(storage.read_text(url))
    found: list[Curve] = []
    chance = _loss_of_chance(manifests)
    for key, name, explained in _CURVES:
        points = [(float(row["step"]), float(row[key])) for row in rows if key in row]
        if len(points) > 1:
            steps, values = [p[0] for p in points], [p[1] for p in points]
            label = f"{name} over {len(points):,} steps, from {values[0]:.3g} to {values[-1]:.3g}"
            found.append(
                Curve(
                    name=name,
                    explained=explained,
                    svg=charts.line_chart(
                        steps,
                        values,
                        label=label,
                        unit="steps",
                        measured=name.lower(),
                        chance=chance if key in {_LOSS, _VALIDATION_LOSS} else None,
                    ),
                    first=f"{values[0]:.3g}",
                    last=f"{values[-1]:.3g}",
                )
            )
    return found


def _from_rows(urls: Sequence[str], stage: StageFacts) -> dict[str, list[DroppedExample]]:
    """Return some rows of each state in which a row does not go on, each alt-text once."""
    found: dict[str, list[DroppedExample]] = {}
    for row in _first_rows(urls):
        if row["state"] == stage.goes_on:
            continue
        of_state = found.setdefault(row["state"], [])
        is_new = all(row["alt_text"] != other.alt_text for other in of_state)
        if len(of_state) < _EXAMPLES and is_new:
            of_state.append(
                DroppedExample(key=row["key"], alt_text=row["alt_text"], image_url=row["image_url"])
            )
    return found


def _first_rows(urls: Sequence[str]) -> Iterator[dict[str, Any]]:
    num_rows = 0
    for url in urls:
        with storage.open_read(url) as source:
            for batch in pq.ParquetFile(source).iter_batches(columns=_COLUMNS):
                yield from batch.to_pylist()
                num_rows += batch.num_rows
                if num_rows >= _ROWS_LOOKED_AT:
                    return
