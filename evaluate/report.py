"""The stage `report`: one HTML page that holds all it shows, and the same tables in Markdown.

Reads the manifests of the other stages, the results and examples of `evaluate`, and the metrics of
`train`. What is missing leaves its section out, with a sentence.
"""

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from openalign.evaluate import examples, provenance, results
from openalign.evaluate.provenance import Curve, FrequentText, RejectedBy
from openalign.evaluate.published import ZERO_SHOT_RECALL_AT_1, PublishedRow
from openalign.evaluate.results import Results
from openalign.evaluate.sections import (
    ComposedSection,
    DatasetSection,
    composed_sections,
    dataset_sections,
)
from openalign.files import storage
from openalign.files.facts import StageFacts
from openalign.files.manifest import DataFile, Manifest, StageResult
from openalign.pages import funnel
from openalign.pages.funnel import FunnelStage

HTML = "report.html"
MARKDOWN = "report.md"

_MARKUP = re.compile(r"[\\`*_~|\[\]]")
"""What means something else than itself in Markdown, beside the characters of HTML."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the templates show."""

    title: str
    credits: Sequence[str]
    results: Results
    datasets: Sequence[DatasetSection]
    composed: Sequence[ComposedSection]
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
    output: str,
    title: str,
    credits: Sequence[str],  # noqa: A002  # the name of the setting
) -> StageResult:
    """Write `report.html` and `report.md`.

    `manifests` and `folders` are those of the complete stages by name; `evaluate` must be among
    them.
    """
    page = build(manifests=manifests, folders=folders, stages=stages, title=title, credits=credits)
    written = [
        _write(output, HTML, render(page, HTML)),
        _write(output, MARKDOWN, render(page, MARKDOWN)),
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
    title: str,
    credits: Sequence[str],  # noqa: A002  # the name of the setting
) -> Page:
    """Gather what the page shows."""
    folder = folders["evaluate"]
    found = results.read(storage.join(folder, results.RESULTS))
    shown = examples.read(storage.join(folder, examples.EXAMPLES))
    thumbnails = examples.read_thumbnails(storage.join(folder, examples.THUMBNAILS))
    return Page(
        title=title,
        credits=credits,
        results=found,
        datasets=dataset_sections(found, shown, thumbnails),
        composed=composed_sections(found, shown, thumbnails),
        funnel=funnel.build(manifests, stages),
        vocabulary=provenance.vocabulary_note(manifests),
        frequent_texts=provenance.frequent_texts(manifests),
        rejects=provenance.rejects(manifests, folders),
        curves=provenance.curves(folders["train"]) if "train" in folders else [],
        num_pairs=manifests["select"].num_outputs if "select" in manifests else None,
        published=ZERO_SHOT_RECALL_AT_1,
        settings=[
            (name, json.dumps(manifest.settings.get("settings"), indent=2, ensure_ascii=False))
            for name, manifest in manifests.items()
        ],
    )


def render(page: Page, name: str) -> str:
    """Return the page in one of its two forms."""
    is_html = name == HTML
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=is_html,  # noqa: S701  # in Markdown, the filter `cell` does it
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["words"] = lambda name: name.replace("_", " ")
    environment.filters["cell"] = _cell
    style = Markup(_template("report.css")) if is_html else ""  # noqa: S704  # our own file
    return environment.get_template(name).render(page=page, style=style, svg=Markup)


def _template(name: str) -> str:
    return (files("openalign.evaluate") / "templates" / name).read_text(encoding="utf-8")


def _cell(text: str) -> str:
    """Return a text for a cell of a Markdown table, where it is no tag, link or end of the cell."""
    in_one_line = html.escape(" ".join(str(text).split()), quote=False)
    return _MARKUP.sub(r"\\\g<0>", in_one_line)


def _write(output: str, name: str, text: str) -> DataFile:
    written = storage.write_text(storage.join(output, name), text)
    return DataFile(name=name, num_rows=1, num_bytes=written.num_bytes, sha256=written.sha256)
