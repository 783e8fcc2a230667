"""Verbs that look and change nothing: `status`, `show`, `explain`, `validate`, `doctor`."""

import argparse
from collections.abc import Sequence

from openalign.commands.contract import (
    BEAM_EPILOG,
    Options,
    Verb,
    add_config,
    add_json,
    add_overrides,
    add_pipeline,
    completed_by,
)
from openalign.commands.named import config_of, refuse, run_of
from openalign.commands.output import tell, tell_json, tell_lines
from openalign.errors import ConfigError
from openalign.run.stages import STAGES, stage_names

_RUNNERS = {
    "local": "FnApiRunner",
    "spark": "SparkRunner",
    "flink": "FlinkRunner",
    "dataflow": "DataflowRunner",
}
"""Beam's runners, by the names that `doctor` takes."""

_NUM_ROWS = 10


# status -------------------------------------------------------------------------------------------


def _add_status(parser: argparse.ArgumentParser) -> None:
    add_pipeline(parser)
    add_json(parser)


def _status(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.verbs import standing

    refuse(beam_options)
    run = run_of(options)
    found = standing.standing_of(run)
    if options.json:
        tell_json(found)
    else:
        tell_lines(standing.lines(options.pipeline, run.config.root, found))


# show ---------------------------------------------------------------------------------------------


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pipeline", help="a name in pipelines.yaml, or the root of a run")
    stage = parser.add_argument("stage", nargs="?", help="the last complete one by default")
    completed_by(stage, _stages)
    add_config(parser)
    add_overrides(parser)
    parser.add_argument(
        "-n", type=int, default=_NUM_ROWS, metavar="N", help="how many rows (%(default)s)"
    )
    add_json(parser)


def _stages(**_: object) -> Sequence[str]:
    return list(STAGES)


def _show(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.verbs import showing

    refuse(beam_options)
    if options.n < 1:
        raise ConfigError(f"-n must be above 0, got {options.n}")
    run = run_of(options)
    found = showing.shown(run, options.stage, num_rows=options.n)
    tell_json(found) if options.json else tell_lines(showing.lines(run, found))


# explain ------------------------------------------------------------------------------------------


def _add_explain(parser: argparse.ArgumentParser) -> None:
    key = parser.add_argument(
        "key", nargs="?", default="", help="a setting, a section, or the end of a key, as seed"
    )
    completed_by(key, _keys)


def _keys(**_: object) -> Sequence[str]:
    from openalign.run.verbs.explaining import all_keys

    return all_keys()


def _explain(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.verbs import explaining

    refuse(beam_options)
    tell_lines(explaining.lines(options.key))


# validate -----------------------------------------------------------------------------------------


def _add_validate(parser: argparse.ArgumentParser) -> None:
    add_pipeline(parser, optional=True)
    parser.add_argument(
        "--explain", action="store_true", help="print what each setting does above it"
    )


def _validate(options: Options, beam_options: Sequence[str]) -> None:
    refuse(beam_options)
    if options.pipeline:
        _validate_one(options)
    elif options.explain:
        raise ConfigError(
            "`--explain` is for one pipeline", hint="for example openalign validate demo --explain"
        )
    else:
        _validate_all(options)


def _validate_one(options: Options) -> None:
    import yaml

    from openalign.settings.explained import explained
    from openalign.settings.fields import to_plain

    config = config_of(options)
    name = config.name.rpartition("/")[2]  # a root is no key
    if options.explain:
        tell(explained(name, config, without={"name"}).rstrip("\n"))
        return
    settings = to_plain(config)
    del settings["name"]  # the key says it; so the loader reads the output back
    whole = {name: settings}
    tell(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True).rstrip("\n"))


def _validate_all(options: Options) -> None:
    from openalign.run.config import load_pipeline
    from openalign.run.settings_files import read_settings_file
    from openalign.telemetry import say

    found = read_settings_file(options.config)
    if found.is_missing:
        say(f"{found.missing}; these are the recipes that ship:")
    names = list(found.own or found.shipped)
    width = max(map(len, names), default=0)
    for name in names:
        config = load_pipeline(options.config, name, options.overrides)
        tell(f"{name:{width}} ok   {config.root:16} {config.description}")
        asked = [STAGES[stage].web(config) for stage in stage_names(config)]
        if not all(web.contact for web in asked if web is not None):
            tell(f"{'':{width + 5}} set web.contact before it is run")


# doctor -------------------------------------------------------------------------------------------


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    add_pipeline(parser, optional=True)
    parser.add_argument(
        "--runner",
        choices=_RUNNERS,
        help="where jobs would run; local, unless Beam's options name one",
    )
    add_json(parser)


def _doctor(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.readiness import require_libraries
    from openalign.telemetry import set_up_logging

    set_up_logging()
    require_libraries(STAGES["filter"])
    from openalign.run.verbs import examination

    flags = list(beam_options)
    if options.runner is not None:
        flags.insert(0, f"--runner={_RUNNERS[options.runner]}")
    root = config_of(options).root if options.pipeline else "runs"
    found = examination.findings(root, flags)
    if options.json:
        every = list(found)
        tell_json(every)
        examination.require_none_failed(every)
        return
    tell_lines(examination.lines(found))


STATUS = Verb(
    name="status",
    title="say what of a run is complete, at work, or to be made again, and why",
    do=_status,
    arguments=_add_status,
    epilog="Sources are not read: whether their content changed, only a run finds out.",
)
SHOW = Verb(
    name="show",
    title="show some of what a stage made: rows, what was dropped and why",
    do=_show,
    arguments=_add_show,
)
EXPLAIN = Verb(
    name="explain",
    title="say what a setting does, and its default",
    do=_explain,
    arguments=_add_explain,
)
VALIDATE = Verb(
    name="validate",
    title="check pipelines and show their settings",
    do=_validate,
    arguments=_add_validate,
)
DOCTOR = Verb(
    name="doctor",
    title="see whether jobs can run on a cluster",
    do=_doctor,
    arguments=_add_doctor,
    epilog=BEAM_EPILOG,
)
