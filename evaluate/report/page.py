"""The stage `report`: one HTML page that holds all it shows, and the same tables in Markdown.

Reads the manifests of the other stages, the results and examples of `evaluate`, and the metrics of
`train`. What is missing leaves its section out, with a sentence. Each task kind draws its own
sections: the page asks the table of kinds for their data and their templates.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from openalign.evaluate import results
from openalign.evaluate.drawing import markdown
from openalign.evaluate.drawing.thumbnails import read_thumbnails
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.report import provenance
from openalign.evaluate.report.provenance import Curve, RejectedBy
from openalign.evaluate.report.published import ZERO_SHOT_RECALL_AT_1, PublishedRow
from openalign.evaluate.results import Results, as_record
from openalign.evaluate.tasks.contract import TaskSection
from openalign.evaluate.tasks.kinds import KINDS, finished_tasks
from openalign.files import storage
from openalign.files.facts import FrequentText, StageFacts
from openalign.files.manifest import DataFile, Manifest, StageResult
from openalign.files.names import (
    EXAMPLES_FILE,
    REPORT_HTML,
    REPORT_MARKDOWN,
    RESULTS_FILE,
    THUMBNAILS_FILE,
)
from openalign.files.states import EvaluateState
from openalign.pages import funnel
from openalign.pages.funnel import FunnelStage

_OF_KIND = "kind/"
"""How the names of templates begin that a task kind offers: `kind/retrieval`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindPart:
    """A task kind's part of the page."""

    template: str
    tasks: Sequence[TaskSection]
    """The sections of the kind's tasks; none where the run has no task of the kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the templates show."""

    title: str
    credits: Sequence[str]
    results: Results
    left_out: Sequence[str]
    """A sentence for each benchmark of which images were missing or cannot be decoded."""

    kinds: Sequence[KindPart]
    """Every kind, in the order of the table."""

    openings: Sequence[tuple[str, TaskSection]]
    """The tasks whose numbers the page opens with, each with its kind's template."""

    funnel: Sequence[FunnelStage]
    vocabulary: str
    frequent_texts: Sequence[FrequentText]
    rejects: Sequence[RejectedBy]
    curves: Sequence[Curve]
    num_pairs: int | None
    """Training pairs; None where the run has no stage that selects them."""

    published: Sequence[PublishedRow]
    settings: Sequence[tuple[str, str]]
    """Each stage's settings, as indented JSON."""


def write(
    *,
    manifests: Mapping[str, Manifest],
    folders: Mapping[str, str],
    stages: Sequence[StageFacts],
    evaluated: str,
    trained: str | None = None,
    num_pairs: int | None = None,
    output: str,
    title: str,
    credits: Sequence[str],  # noqa: A002  # the name of the setting
) -> StageResult:
    """Write `report.html` and `report.md`.

    `manifests` and `folders` are those of the complete stages by name. `evaluated` is the folder of
    the results, `trained` that of a training run, `num_pairs` what it had to train on.
    """
    page = build(
        manifests=manifests,
        folders=folders,
        stages=stages,
        evaluated=evaluated,
        trained=trained,
        num_pairs=num_pairs,
        title=title,
        credits=credits,
    )
    written = [
        _write(output, REPORT_HTML, render(page, REPORT_HTML)),
        _write(output, REPORT_MARKDOWN, render(page, REPORT_MARKDOWN)),
    ]
    return StageResult(
        num_inputs=len(manifests),
        states={"shown": len(manifests)},
        num_outputs=len(written),
        files=written,
    )


def build(
    *,
    manifests: Mapping[str, Manifest],
    folders: Mapping[str, str],
    stages: Sequence[StageFacts],
    evaluated: str,
    trained: str | None,
    num_pairs: int | None,
    title: str,
    credits: Sequence[str],  # noqa: A002  # the name of the setting
) -> Page:
    """Gather what the page shows."""
    found = results.read(storage.join(evaluated, RESULTS_FILE))
    kinds = _kind_parts(found, evaluated)
    return Page(
        title=title,
        credits=credits,
        results=found,
        left_out=[
            sentence
            for name, images in sorted(found.left_out.items())
            for sentence in _left_out(name, [image.state for image in images])
        ],
        kinds=kinds,
        openings=[(part.template, task) for part in kinds for task in part.tasks if task.opening],
        funnel=funnel.build(manifests, stages),
        vocabulary=provenance.vocabulary_note(manifests),
        frequent_texts=provenance.frequent_texts(manifests),
        rejects=provenance.rejects(manifests, folders, stages),
        curves=provenance.curves(trained) if trained is not None else [],
        num_pairs=num_pairs,
        published=ZERO_SHOT_RECALL_AT_1,
        settings=[
            (name, json.dumps(manifest.settings.get("settings"), indent=2, ensure_ascii=False))
            for name, manifest in manifests.items()
        ],
    )


def _kind_parts(found: Results, folder: str) -> list[KindPart]:
    url = storage.join(folder, EXAMPLES_FILE)
    examples = results.read_examples(url)
    thumbnails = read_thumbnails(storage.join(folder, THUMBNAILS_FILE))
    sections: dict[str, list[TaskSection]] = {name: [] for name in KINDS}
    for name, kind, task in finished_tasks(found):
        of_task = as_record(
            examples.get(f"{name}/{task.name}", {}), kind.examples, of=f"{url}: task `{task.name}`"
        )
        sections[name].append(kind.section(task, of_task, Tiles(task.benchmark, thumbnails)))
    return [KindPart(template=f"{_OF_KIND}{name}", tasks=tasks) for name, tasks in sections.items()]


def _left_out(benchmark: str, states: Sequence[str]) -> Iterator[str]:
    """Yield a sentence about the images that were not there, and one about the unreadable ones."""
    for state, one, many in (
        (EvaluateState.MISSING, "was not there", "were not there"),
        (EvaluateState.UNREADABLE, "cannot be decoded", "cannot be decoded"),
    ):
        count = states.count(state)
        if count:
            images = f"1 image of {benchmark} {one}"
            if count > 1:
                images = f"{count:,} images of {benchmark} {many}"
            yield f"{images}, so its numbers are of the others alone."


def render(page: Page, name: str) -> str:
    """Return the page in one of its two forms."""
    is_html = name == REPORT_HTML
    form = name.rpartition(".")[2]

    def load(template: str) -> str:
        if template.startswith(_OF_KIND):
            return KINDS[template.removeprefix(_OF_KIND)].template(form)
        return _template(template)

    environment = Environment(
        loader=FunctionLoader(load),
        autoescape=is_html,  # noqa: S701  # in Markdown, the filter `cell` does it
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["words"] = lambda name: name.replace("_", " ")
    environment.filters["cell"] = markdown.cell
    environment.globals["svg"] = Markup
    style = Markup(_template("report.css")) if is_html else ""  # noqa: S704  # our own file
    return environment.get_template(name).render(page=page, style=style)


def _template(name: str) -> str:
    return (files("openalign.evaluate.report") / "templates" / name).read_text(encoding="utf-8")


def _write(output: str, name: str, text: str) -> DataFile:
    written = storage.write_text(storage.join(output, name), text)
    return DataFile.of(name, written, num_rows=1)
