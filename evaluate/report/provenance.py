"""Where the training pairs came from and how training went, for the report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from openalign.files import storage
from openalign.files.manifest import Manifest
from openalign.files.states import FetchState
from openalign.pages import charts
from openalign.telemetry import read_json_lines

_ROWS_LOOKED_AT = 200_000
"""What fetch dropped is shown from the ledger's first rows: a report must not read them all."""

_EXAMPLES = 3
_TEXTS = 10
_COLUMNS = ["state", "alt_text", "image_url"]

_CURVES = (
    ("train/loss", "Loss", "sum of both directions' cross-entropies (Eq. 1 and 2)"),
    ("train/temperature", "Temperature", "the learned scalar that divides the cosines"),
)


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
class FrequentText:
    """An alt-text that stood on many images."""

    text: str
    rule: str
    num_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A metric over the steps of training."""

    name: str
    explained: str
    svg: str
    first: str
    last: str


def rejects(manifests: Mapping[str, Manifest], folders: Mapping[str, str]) -> list[RejectedBy]:
    """Return examples of what `filter`, `fetch` and `select` dropped, the largest drops first."""
    found: list[RejectedBy] = []
    for stage in ("filter", "fetch", "select"):
        if stage not in manifests:
            continue
        manifest = manifests[stage]
        examples = (
            _from_ledger([storage.join(folders[stage], name) for name in manifest.names("ledger-")])
            if stage == "fetch"
            else manifest.facts.get("examples", {})
        )
        rules = sorted(examples, key=lambda rule: (-manifest.states.get(rule, 0), rule))
        found += [
            RejectedBy(
                stage=stage,
                rule=rule,
                num_rows=manifest.states[rule],
                examples=[
                    Reject(text=row["alt_text"], where=row["image_url"])
                    for row in examples[rule][:_EXAMPLES]
                ],
            )
            for rule in rules
            if manifest.states.get(rule)
        ]
    return found


def frequent_texts(manifests: Mapping[str, Manifest]) -> list[FrequentText]:
    """Return the alt-texts that were dropped most often."""
    if "filter" not in manifests:
        return []
    rows = manifests["filter"].facts.get("top_texts", [])
    return [
        FrequentText(text=row["alt_text"], rule=row["rule"], num_rows=row["rows"])
        for row in rows[:_TEXTS]
    ]


def vocabulary_note(manifests: Mapping[str, Manifest]) -> str:
    """Return, in words, where the line between frequent and rare n-grams came to lie."""
    facts = manifests["filter"].facts.get("ngrams") if "filter" in manifests else None
    if not facts:
        return ""
    return (
        f"Frequent n-grams are {facts['rule']}: {facts['num_unigrams_kept']:,} of "
        f"{facts['num_unigrams']:,} unigrams and {facts['num_bigrams_kept']:,} of "
        f"{facts['num_bigrams']:,} bigrams of the raw corpus. They are compared as 64-bit hashes; "
        f"{facts['expected_wrongly_kept']:.1e} rare ones are expected to pass for a frequent one."
    )


def curves(folder: str) -> list[Curve]:
    """Return the curves of a training folder; none where it holds no metrics."""
    url = storage.join(folder, "metrics.jsonl")
    if not storage.exists(url):
        return []
    rows = read_json_lines(storage.read_text(url))
    found: list[Curve] = []
    for key, name, explained in _CURVES:
        points = [(float(row["step"]), float(row[key])) for row in rows if key in row]
        if len(points) > 1:
            steps, values = [p[0] for p in points], [p[1] for p in points]
            label = f"{name} over {len(points):,} steps, from {values[0]:.3g} to {values[-1]:.3g}"
            found.append(
                Curve(
                    name=name,
                    explained=explained,
                    svg=charts.line_chart(steps, values, label=label, unit="steps"),
                    first=f"{values[0]:.3g}",
                    last=f"{values[-1]:.3g}",
                )
            )
    return found


def _from_ledger(urls: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return some rows of each state that is not `fetched`, each alt-text once."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in _first_rows(urls):
        of_state = found.setdefault(row["state"], [])
        is_new = all(row["alt_text"] != other["alt_text"] for other in of_state)
        if row["state"] != FetchState.FETCHED and len(of_state) < _EXAMPLES and is_new:
            of_state.append(row)
    return {state: rows for state, rows in found.items() if rows}


def _first_rows(urls: Sequence[str]) -> Iterator[dict[str, Any]]:
    num_rows = 0
    for url in urls:
        with storage.open_read(url) as source:
            for batch in pq.ParquetFile(source).iter_batches(columns=_COLUMNS):
                yield from batch.to_pylist()
                num_rows += batch.num_rows
                if num_rows >= _ROWS_LOOKED_AT:
                    return
