"""The stage `report`: one HTML page that holds all it shows, and the same tables in Markdown.

Reads the manifests of the other stages, the results and examples of `evaluate`, and the metrics of
`train`. What is missing leaves its section out, with a sentence. Each task kind draws its own
sections: the page asks the table of kinds for their data and their templates.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from openalign.evaluate import results
from openalign.evaluate.drawing.image_map import read_map
from openalign.evaluate.drawing.map_drawing import MapDrawing, draw_map
from openalign.evaluate.drawing.metric_numbers import Number
from openalign.evaluate.drawing.thumbnails import read_thumbnails
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.report import gallery, provenance, rendering
from openalign.evaluate.report.gallery import Selected, SelectedImage
from openalign.evaluate.report.provenance import Curve, MadeStage, RejectedBy
from openalign.evaluate.results import Results, as_record
from openalign.evaluate.tables.filling import ReportTables, tables_of
from openalign.evaluate.tables.origins import EvaluatedRun
from openalign.evaluate.tables.paper import BIBTEX, PAPER
from openalign.evaluate.tasks.contract import TaskSection
from openalign.evaluate.tasks.kinds import KINDS, finished_tasks
from openalign.files import storage
from openalign.files.facts import FrequentText, StageFacts
from openalign.files.manifest import Manifest, StageResult
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

_MOST_OPENING_NUMBERS = 8
"""More than these would push the tables off the first screens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindPart:
    """A task kind's part of the page."""

    template: str
    tasks: Sequence[TaskSection]
    """The sections of the kind's tasks; none where the run has no task of the kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Numbers of a task that the page opens with."""

    template: str
    """The kind's."""

    task: TaskSection
    numbers: Sequence[tuple[str, Number]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the templates show."""

    title: str
    credits: Sequence[str]
    results: Results | None
    """None where nothing was measured."""

    left_out: Sequence[str]
    """A sentence for each benchmark of which images were missing or cannot be decoded."""

    kinds: Sequence[KindPart]
    """Every kind, in the order of the table."""

    openings: Sequence[Opening]
    """The tasks whose numbers the page opens with."""

    num_opening_tasks: int
    """How many tasks have numbers to open with."""

    is_abridged: bool
    """Whether only the first number of the first of these tasks is shown."""

    image_map: MapDrawing | None
    """None where no benchmark has enough images for one."""

    tables: ReportTables

    funnel: Sequence[FunnelStage]
    gallery: Sequence[SelectedImage]
    vocabulary: str
    frequent_texts: Sequence[FrequentText]
    rejects: Sequence[RejectedBy]
    curves: Sequence[Curve]
    training: str
    """How long it was, and of how many parameters; empty where there was none."""

    made: Sequence[MadeStage]
    """When the run's stages were made, and how long they took; empty where no log says it."""

    num_pairs: int | None
    """Training pairs; None where the run has no stage that selects them."""

    paper: str
    """The paper, as it is cited."""

    bibtex: str

    settings: Sequence[tuple[str, str]]
    """Each stage's settings, as indented JSON."""


def write(
    *,
    manifests: Mapping[str, Manifest],
    folders: Mapping[str, str],
    stages: Sequence[StageFacts],
    evaluated: str | None = None,
    trained: str | None = None,
    selected: Selected | None = None,
    num_pairs: int | None = None,
    made: Sequence[MadeStage] = (),
    output: str,
    title: str,
    credits: Sequence[str],  # noqa: A002  # the name of the setting
) -> StageResult:
    """Write `report.html`, `report.md`, and the tables as CSV and LaTeX.

    `manifests` and `folders` are those of the complete stages by name. `evaluated` is the folder of
    the results, `trained` that of a training run, `selected` where its pairs lie and `num_pairs`
    how many they are. `made` is what the log of times says, which no other file depends on.
    """
    page = build(
        manifests=manifests,
        folders=folders,
        stages=stages,
        evaluated=evaluated,
        trained=trained,
        selected=selected,
        num_pairs=num_pairs,
        made=made,
        title=title,
        credits=credits,
    )
    written = rendering.write(
        output,
        {name: render(page, name) for name in (REPORT_HTML, REPORT_MARKDOWN)},
        page.tables,
    )
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
    evaluated: str | None,
    trained: str | None,
    selected: Selected | None,
    num_pairs: int | None,
    made: Sequence[MadeStage],
    title: str,
    credits: Sequence[str],  # noqa: A002  # the name of the setting
) -> Page:
    """Gather what the page shows."""
    found = None if evaluated is None else results.read(storage.join(evaluated, RESULTS_FILE))
    measured = (
        [] if found is None else [EvaluatedRun(name=title, data=_pairs(num_pairs), results=found)]
    )
    kinds = [] if found is None or evaluated is None else _kind_parts(found, evaluated)
    openings = [
        Opening(template=part.template, task=task, numbers=task.opening)
        for part in kinds
        for task in part.tasks
        if task.opening
    ]
    num_numbers = sum(len(opening.numbers) for opening in openings)
    is_abridged = num_numbers > _MOST_OPENING_NUMBERS
    return Page(
        title=title,
        credits=credits,
        results=found,
        left_out=[
            sentence
            for name, images in sorted(found.left_out.items() if found is not None else ())
            for sentence in _left_out(name, [image.state for image in images])
        ],
        kinds=kinds,
        openings=_first_numbers(openings) if is_abridged else openings,
        num_opening_tasks=len(openings),
        is_abridged=is_abridged,
        image_map=None if evaluated is None else _image_map(evaluated),
        tables=tables_of(measured),
        funnel=funnel.build(manifests, stages),
        gallery=[] if selected is None else gallery.images_of(selected),
        vocabulary=provenance.vocabulary_note(manifests),
        frequent_texts=provenance.frequent_texts(manifests),
        rejects=provenance.rejects(manifests, folders, stages),
        curves=[] if trained is None else provenance.curves(trained, manifests),
        training="" if trained is None else provenance.training_note(trained, manifests),
        made=made,
        num_pairs=num_pairs,
        paper=PAPER,
        bibtex=BIBTEX,
        settings=[
            (name, json.dumps(manifest.settings.get("settings"), indent=2, ensure_ascii=False))
            for name, manifest in manifests.items()
        ],
    )


def _first_numbers(openings: Sequence[Opening]) -> list[Opening]:
    return [
        replace(opening, numbers=opening.numbers[:1])
        for opening in openings[:_MOST_OPENING_NUMBERS]
    ]


def _pairs(num_pairs: int | None) -> str:
    return "" if num_pairs is None else f"{num_pairs:,} pairs of this run"


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
    return [
        KindPart(template=f"{rendering.OF_KIND}{name}", tasks=tasks)
        for name, tasks in sections.items()
    ]


def _image_map(folder: str) -> MapDrawing | None:
    found = read_map(folder)
    thumbnails = read_thumbnails(storage.join(folder, THUMBNAILS_FILE))
    return draw_map(found, Tiles(found.benchmark, thumbnails))


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
    return rendering.render(name, page=page)
