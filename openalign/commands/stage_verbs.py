"""`openalign run`, and a verb a stage."""

import argparse
from collections.abc import Sequence
from functools import partial

from openalign.commands.contract import BEAM_EPILOG, Options, Verb, add_pipeline
from openalign.commands.named import (
    config_named,
    refuse,
    require_one_source,
    run_of,
    run_with,
)
from openalign.errors import ConfigError
from openalign.run.contract import Run, Stage
from openalign.run.stages import STAGES, stages_read

REPORT = "report"
"""The stage that several runs may be named for."""

MODEL_EPILOG = """\
without a settings file:
  openalign evaluate --model FOLDER --data flickr30k=dataset_flickr30k.json
  openalign report --model FOLDER
  openalign search --model FOLDER "red apple"

The run lies in runs/<the folder's name>, which may be named in place of --model.
"""


def verb_of(stage: Stage) -> Verb:
    """Return the verb that asks for a stage."""
    beams = BEAM_EPILOG if stage.jobs is not None else ""
    return Verb(
        name=stage.name,
        title=stage.title,
        do=partial(_run_one, stage),
        arguments=partial(_add_stage, stage),
        epilog=MODEL_EPILOG if stage.takes_model else beams,
    )


def stage_verbs() -> list[Verb]:
    """Return the verbs of the stages that people can ask for by name."""
    return [verb_of(stage) for stage in STAGES.values() if stage.is_verb]


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add a model in place of a pipeline."""
    add_pipeline(parser, optional=True)
    parser.add_argument(
        "--model",
        metavar="FOLDER",
        help="in place of a pipeline: a model's folder or URL, as hf://kakaobrain/align-base",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    add_pipeline(parser)
    _add_consent(parser)


def _add_stage(stage: Stage, parser: argparse.ArgumentParser) -> None:
    add_model(parser) if stage.takes_model else add_pipeline(parser)
    if stage.is_dear:
        _add_consent(parser)
    if stage.jobs_again is not None:
        _add_rounds(parser)
    if stage.can_be_prepared:
        _add_prepare(parser)
    if stage.takes_data:
        _add_data(parser)
    if stage.name == REPORT:
        _add_more_runs(parser)


def _add_consent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--yes",
        action="store_true",
        dest="replace",
        help="replace a complete harvest, fetch or training whose settings or input changed",
    )


def _add_rounds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--retry",
        nargs="*",
        metavar="STATE",
        help="try again what can heal of a complete fetch, or what ended in these states",
    )
    parser.add_argument(
        "--limit",
        type="fetch.limit={}".format,
        action="append",
        dest="overrides",
        metavar="N",
        help="for a first look: try so many candidates; --retry goes on with the others",
    )


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="make the vocabulary and end, before torchrun, Slurm or Kubernetes starts the ranks",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="with --model: what it is measured on; may be given more than once (`openalign "
        "datasets` lists the names)",
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        dest="replace",
        help="with --data: replace what was measured on data sets that are not named again, or "
        "lay at another path",
    )
    parser.add_argument(
        "--allow-missing",
        action="append_const",
        dest="overrides",
        const="evaluate.allow_missing=true",
        help="count images that are not there, and go on without them",
    )
    parser.add_argument(
        "--fast",
        action="append_const",
        dest="overrides",
        const="evaluate.fast=true",
        help="a smoke test on the first images of each split; its numbers mean nothing",
    )


def _add_more_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "more_runs",
        nargs="*",
        metavar="run",
        help="further pipelines or roots of runs: one report with a row a run",
    )
    parser.add_argument(
        "--output", default="", metavar="FOLDER", help="where a report on several runs goes"
    )


def _run_pipeline(options: Options, beam_options: Sequence[str]) -> int:
    from openalign.run import runner, summary

    run = run_of(options, beam_options)
    manifests = runner.run_all(run)
    summary.show(run, manifests)
    return summary.exit_code(manifests)


def _run_one(stage: Stage, options: Options, beam_options: Sequence[str]) -> int | None:
    from openalign.run import readiness, runner

    if not stage.takes_beam_options:
        refuse(beam_options)
    if stage.name == REPORT and (options.more_runs or options.output):
        _report_side_by_side(options)
        return None
    if stage.takes_data and options.data:
        _run_described(stage, options)
        return None
    if stage.takes_data and options.replace:
        raise ConfigError(
            "`--yes` stands beside `--data`",
            hint=f"leave it out: without --data, {stage.name} asks for no consent",
        )
    run = run_of(options, beam_options)
    if stage.jobs_again is not None and options.retry is not None:
        return _run_round(run, options.retry)
    if readiness.is_dry_run(run, stage):
        runner.dry_run(run, stage.name)
        return None
    for name in stages_read(run.config, stage.name):
        if not STAGES[name].is_verb:
            runner.run_stage(run, name)  # nobody can ask for it by its name
    if stage.can_be_prepared and options.prepare:
        runner.prepare(run, stage.name)
        return None
    return _run_stage(run, stage.name)


def _run_described(stage: Stage, options: Options) -> None:
    """Bring a stage up to date in a run that flags describe; the run keeps its settings."""
    from openalign.run.translated import from_flags

    require_one_source(options)
    if not options.model:
        raise ConfigError(
            "`--data` stands beside `--model`",
            hint="a pipeline names its data sets under `benchmarks:`",
        )
    described = from_flags.described(
        options.model, options.data, options.overrides, replace=options.replace
    )
    _run_stage(run_with(described.config), stage.name)
    described.record()


def _report_side_by_side(options: Options) -> None:
    """Write a report on several runs, as they are."""
    from openalign.run.verbs import side_by_side

    if not options.more_runs:
        raise ConfigError(
            "`--output` is for a report on several runs; that on one lies in its run",
            hint="name further runs, or set root: --set root=PATH",
        )
    if options.model:
        raise ConfigError(
            "`--model` names one run, and a report on several names each",
            hint="a run that flags describe is named by its root, as runs/NAME",
        )
    names = [options.pipeline, *options.more_runs]
    configs = [config_named(options, name) for name in names]
    side_by_side.write(configs, options.output)


def _run_round(run: Run, states: Sequence[str]) -> int:
    from openalign.run import readiness, summary

    readiness.require_libraries(STAGES["fetch"])
    from openalign.run import rounds

    if readiness.is_dry_run(run, STAGES["fetch"]):
        raise ConfigError("a dry run builds no round", hint="leave out --retry or --dry_run")
    manifests = {"fetch": rounds.run_round(run, states)}
    summary.show_findings(run, manifests)
    return summary.exit_code(manifests)


def _run_stage(run: Run, name: str) -> int:
    from openalign.run import consent, messages, runner, summary

    for changed in consent.read_as_they_are(run, name):
        messages.say_as_it_is(run, name, changed)
    manifest = runner.run_stage(run, name)
    manifests = {name: manifest} if manifest is not None else {}
    summary.show_findings(run, manifests)
    return summary.exit_code(manifests)


RUN = Verb(
    name="run",
    title="run every stage that is not up to date",
    do=_run_pipeline,
    arguments=_add_run,
    epilog=BEAM_EPILOG,
)
