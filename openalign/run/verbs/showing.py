"""What a stage made, as a person would look at it: its funnel, some rows, what it dropped."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pyarrow.parquet as pq

from openalign.errors import ConfigError, StageError
from openalign.evaluate import results
from openalign.files import storage
from openalign.files.facts import JudgedFacts
from openalign.files.manifest import Manifest
from openalign.files.names import (
    CANDIDATES,
    DECISIONS,
    KEPT,
    LEDGERS,
    METRICS_FILE,
    PAGES,
    REJECTED,
    RESULTS_FILE,
    TRAINING_PAIRS,
)
from openalign.lines import one_line
from openalign.pages import funnel
from openalign.run import messages
from openalign.run.contract import Run
from openalign.run.stages import STAGES, stage_names
from openalign.settings.yaml_reader import did_you_mean
from openalign.telemetry import read_json_lines

_COLUMNS = ("state", "alt_text", "image_url", "shard", "detail")
"""What is shown of a row, as far as its table has it."""

_TABLES = {
    CANDIDATES: "the candidates",
    PAGES: "the pages, each with how it ended",
    KEPT: "the candidates that go on",
    REJECTED: "the others, each with the rule that dropped it",
    LEDGERS: "all candidates, each with how it ended (`state`, `detail`)",
    TRAINING_PAIRS: "the pairs that `train` reads",
    DECISIONS: "the others, each with the rule that dropped it",
}
"""What the rows of a stage's files are, by the files' prefix."""

_CARD = "/README.md"

_METRIC = "metric"
"""The column of `evaluate` that has the names of metrics."""

_WIDTH = 48
"""Characters of a cell that a terminal shows."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of a stage."""

    stage: str
    folder: str
    states: dict[str, int]
    """How many rows ended in each state."""

    rows: list[dict[str, Any]]
    """Some rows of the result; of `train` its last step, of `evaluate` its metrics."""

    dropped: dict[str, list[dict[str, Any]]] = {}
    """Some rows that each rule dropped."""

    tables: dict[str, str] = {}
    """Where all rows lie: patterns of Parquet files, each with what their rows are."""

    pages: list[str]
    """What people open."""


def shown(run: Run, name: str | None, *, num_rows: int) -> Shown:
    """Return what there is to see of a stage: where none is named, of the last complete one.

    A report is shown only where nothing else is complete: it is what `run` always ends with.

    Raises:
        ConfigError: the pipeline has no such stage.
        StageError: it is not complete, or no stage is.
    """
    storage.check_reachable(run.config.root)
    names = stage_names(run.config)
    if name is not None and name not in names:
        raise ConfigError(
            f"{run.config.name} has no stage `{name}`",
            hint=did_you_mean(name, names) or f"it has {', '.join(names)}",
        )
    complete = messages.complete_manifests(run)
    if not complete or (name is not None and name not in complete):
        none = f"no stage of {run.config.name} is complete"
        raise StageError(
            none if name is None else f"{name} of {run.config.name} is not complete",
            hint=f"openalign run {run.config.name}",
        )
    stage = name or ([each for each in complete if each != "report"] or list(complete))[-1]
    folder, manifest = run.folder(stage), complete[stage]
    return Shown(
        stage=stage,
        folder=folder.url,
        states=manifest.states,
        rows=_rows(stage, folder.url, manifest, num_rows),
        dropped=_dropped(stage, manifest, num_rows),
        tables=_tables(folder.url, manifest),
        pages=[
            storage.join(folder.url, file.name) for file in manifest.files if is_page(file.name)
        ],
    )


def is_page(name: str) -> bool:
    """Tell whether people open a file: a page of the stage's own, or a card. A site's are no such.

    `name` is that in the stage's folder.
    """
    return name.endswith(_CARD) or (name.endswith(".html") and "/" not in name)


def lines(run: Run, found: Shown) -> Iterator[str]:
    """Yield what a terminal shows of it."""
    stages = [STAGES[found.stage].facts]
    complete = messages.complete_manifests(run)
    built = funnel.build(complete, stages)
    yield f"{found.stage}: {found.folder}"
    if built:
        yield ""
        yield funnel.render(built)
        if means := funnel.legend(built):
            yield means
    if found.rows:
        yield ""
        yield from _table(found.rows)
    for rule, rows in found.dropped.items():
        yield ""
        yield f"dropped by {rule}, for example"
        yield from _table(rows)
    if found.tables:
        yield ""
        width = max(map(len, found.tables))
        yield from (f"{files:{width}}  {holds}" for files, holds in found.tables.items())
    if found.pages:
        yield ""
        yield from found.pages


def _rows(stage: str, folder: str, manifest: Manifest, num_rows: int) -> list[dict[str, Any]]:
    if stage == "train":
        url = storage.join(folder, METRICS_FILE)
        steps = read_json_lines(storage.read_text(url)) if storage.exists(url) else []
        return steps[-num_rows:]
    if stage == "evaluate":
        found = results.read(storage.join(folder, RESULTS_FILE))
        return [
            {_METRIC: each.name, "value": each.value, "low": each.low, "high": each.high}
            for each in found.metrics
        ]
    prefix = STAGES[stage].outputs or STAGES[stage].row_files
    if not prefix:
        return []
    urls = [storage.join(folder, name) for name in manifest.names(prefix)]
    return _first_rows(urls, num_rows)


def _first_rows(urls: Sequence[str], num_rows: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for url in urls:
        with storage.open_read(url) as source:
            file = pq.ParquetFile(source)
            columns = [name for name in _COLUMNS if name in file.schema_arrow.names]
            for batch in file.iter_batches(num_rows - len(rows), columns=columns):
                rows += batch.to_pylist()
                break
        if len(rows) >= num_rows:
            break
    return rows[:num_rows]


def _tables(folder: str, manifest: Manifest) -> dict[str, str]:
    found: dict[str, str] = {}
    for prefix, holds in _TABLES.items():
        files = [file for file in manifest.files if file.name.startswith(prefix)]
        if files:
            num_rows = sum(file.num_rows for file in files)
            found[storage.join(folder, f"{prefix}*.parquet")] = (
                f"{_rows_in_words(num_rows)}: {holds}"
            )
    return found


def _rows_in_words(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"


def _dropped(stage: str, manifest: Manifest, num_rows: int) -> dict[str, list[dict[str, Any]]]:
    if not STAGES[stage].states:
        return {}
    examples = manifest.facts_as(JudgedFacts).examples
    return {
        rule: [{"alt_text": row.alt_text, "image_url": row.image_url} for row in rows[:num_rows]]
        for rule, rows in examples.items()
        if rows
    }


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield rows in columns; a cell that is too long is cut, and says so.

    Names of metrics are whole: they differ at their ends, and are copied.
    """
    names = [name for name in rows[0] if any(row.get(name) is not None for row in rows)]
    cells = [names, *([_shown(name, row.get(name)) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  " + "  ".join(padded).rstrip()


def _shown(name: str, value: Any) -> str:
    return str(value) if name == _METRIC else _cell(value)


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str("" if value is None else value)
    text = one_line(" ".join(text.split()))
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
