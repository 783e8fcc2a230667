"""The entry point: `openalign VERB PIPELINE`. Only this module prints results and catches errors.

Imports neither torch nor Beam; a verb imports what it needs when it runs.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from openalign import arguments
from openalign.errors import ConfigError, OpenAlignError
from openalign.run.settings_files import SETTINGS_FILE
from openalign.run.stages import STAGES, stage_names, stages_read

if TYPE_CHECKING:
    from openalign.run.config import PipelineConfig
    from openalign.run.contract import Run

_NUM_HITS = 10
"""How many images a search prints, unless it is told or there are fewer."""


def entry() -> None:
    """Run the command line and exit with its code."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code.

    0 is for success, 1 for a comparison in which something got worse, 2 for a mistake that the user
    can fix, and 3 for a result that lacks what stood in damaged files of its input.
    """
    words = list(argv)
    split = words.index("--") if "--" in words else len(words)
    options = arguments.read(words[:split])
    try:
        code = _VERBS[options.verb](options, words[split + 1 :])
    except OpenAlignError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # the one place that prints
        if error.hint:
            print(f"\nhint: {error.hint}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)  # noqa: T201
        return 130
    return code or 0


def _run_pipeline(options: argparse.Namespace, beam_options: Sequence[str]) -> int:
    from openalign.run import runner, summary

    run = _run_of(options, beam_options)
    manifests = runner.run_all(run)
    summary.show(run, manifests)
    return summary.exit_code(manifests)


def _run_one(options: argparse.Namespace, beam_options: Sequence[str]) -> int | None:
    from openalign.run import readiness, runner

    stage = STAGES[options.stage]
    if not stage.takes_beam_options:
        _refuse(beam_options)
    if stage.name == arguments.REPORT and (options.more_runs or options.output):
        _report_side_by_side(options)
        return None
    if stage.takes_data and options.data:
        _run_described(options)
        return None
    run = _run_of(options, beam_options)
    if stage.jobs_again is not None and options.retry is not None:
        return _run_round(run, options.retry)
    if readiness.is_dry_run(run, stage):
        runner.dry_run(run, stage.name)
        return None
    for name in stages_read(run.config, stage.name):
        if not STAGES[name].is_verb:
            runner.run_stage(run, name)  # nobody can ask for it by its name
    return _run_stage(run, stage.name)


def _run_described(options: argparse.Namespace) -> None:
    """Bring a stage up to date in a run that flags describe; the run keeps its settings."""
    from openalign.run.translated import from_flags

    _require_one_source(options)
    if not options.model:
        raise ConfigError(
            "`--data` stands beside `--model`",
            hint="a pipeline names its data sets under `benchmarks:`",
        )
    described = from_flags.described(options.model, options.data, options.overrides)
    _run_stage(_run(described.config), options.stage)
    described.record()


def _report_side_by_side(options: argparse.Namespace) -> None:
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
    configs = [_config_named(options, name) for name in names]
    side_by_side.write(configs, options.output)


def _run_round(run: "Run", states: Sequence[str]) -> int:
    from openalign.run import readiness, summary

    readiness.require_libraries(STAGES["fetch"])
    from openalign.run import rounds

    if readiness.is_dry_run(run, STAGES["fetch"]):
        raise ConfigError("a dry run builds no round", hint="leave out --retry or --dry_run")
    manifests = {"fetch": rounds.run_round(run, states)}
    summary.show_findings(run, manifests)
    return summary.exit_code(manifests)


def _run_stage(run: "Run", name: str) -> int:
    from openalign.run import runner, summary

    manifest = runner.run_stage(run, name)
    manifests = {name: manifest} if manifest is not None else {}
    summary.show_findings(run, manifests)
    return summary.exit_code(manifests)


def _estimate(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from openalign.run.readiness import require_libraries

    _refuse(beam_options)
    run = _run_of(options)
    require_libraries(STAGES["fetch"])
    from openalign.run.verbs import estimating, projection

    found = estimating.estimate(
        run,
        sample=options.sample,
        price_core_hour=options.price_core_hour,
        price_gb_month=options.price_gb_month,
    )
    text = projection.as_json(found) if options.json else "\n".join(projection.lines(found))
    print(text)  # noqa: T201


def _search(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from openalign.run.readiness import require_libraries

    _refuse(beam_options)
    run = _run_of(options)
    require_libraries(STAGES["evaluate"])
    from openalign.run.verbs.searching import open_searcher, query_of

    run.folder("evaluate").require()
    query = query_of(
        run,
        text=" ".join(options.words) or None,
        image=options.image,
        plus=options.plus,
        minus=options.minus,
        weights=(options.image_weight, options.plus_weight, options.minus_weight),
    )
    searcher = open_searcher(run)
    k = min(_NUM_HITS, len(searcher.index.items)) if options.k is None else options.k
    for rank, hit in enumerate(searcher.find(query, k), start=1):
        print(f"{rank:3}  {hit.score:+.3f}  {hit.key}  {hit.path}")  # noqa: T201


def _export(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from openalign.run.readiness import require_libraries

    _refuse(beam_options)
    run = _run_of(options)
    require_libraries(STAGES["train"])
    from openalign.run.verbs.exporting import export

    print(export(run, step=options.step, output=options.output))  # noqa: T201


def _compare(options: argparse.Namespace, beam_options: Sequence[str]) -> int:
    from openalign.run.readiness import require_libraries
    from openalign.telemetry import say, set_up_logging

    _refuse(beam_options)
    set_up_logging()
    require_libraries(STAGES["report"])
    from openalign.evaluate.compare import terminal
    from openalign.run.verbs.comparing import compare_runs

    comparison, page = compare_runs(
        [options.baseline, *options.runs],
        settings_file=options.config,
        output=options.output,
        confidence=options.confidence,
        patterns=options.metrics,
    )
    print("\n".join(terminal.lines(comparison)))  # noqa: T201
    say(f"comparison: {page}")
    return int(comparison.is_worse)


def _datasets(_: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from openalign.run.verbs import data_set_forms

    _refuse(beam_options)
    for line in data_set_forms.form_lines():
        print(line)  # noqa: T201


def _check_dataset(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from openalign.run.verbs import data_set_forms

    _refuse(beam_options)
    changes = list(options.overrides)
    if options.images is not None:
        changes.append(f"images={json.dumps(options.images)}")
    for line in data_set_forms.check_lines(options.path, options.kind, changes):
        print(line)  # noqa: T201


def _doctor(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from openalign.run.readiness import require_libraries
    from openalign.telemetry import set_up_logging

    set_up_logging()
    require_libraries(STAGES["filter"])
    from openalign.run.verbs import examination

    flags = list(beam_options)
    if options.runner is not None:
        flags.insert(0, f"--runner={arguments.RUNNERS[options.runner]}")
    root = _config_of(options).root if options.pipeline else "runs"
    for line in examination.lines(root, flags):
        print(line)  # noqa: T201


def _hostile_web(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from threading import Event

    from openalign.run.readiness import require_libraries
    from openalign.telemetry import say, set_up_logging

    _refuse(beam_options)
    set_up_logging()
    require_libraries(STAGES["fetch"])
    from openalign.run.verbs import fault_server

    if options.list:
        print("\n".join(fault_server.case_lines()))  # noqa: T201
        return
    with fault_server.serving(
        options.candidates,
        port=options.port,
        num_per_case=options.per_case,
        is_another_day=options.another_day,
    ) as pipeline:
        print(pipeline, end="", flush=True)  # noqa: T201
        say(f"{options.candidates}: written; served until this is interrupted (Ctrl-C)")
        Event().wait()


def _init(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from openalign.run.translated import from_img2dataset
    from openalign.telemetry import say

    _refuse(beam_options)
    text = from_img2dataset.pipeline_text(options.pipeline, options.from_img2dataset)
    if not options.append:
        print(text, end="")  # noqa: T201
        return
    from_img2dataset.append(options.config, options.pipeline, text)
    say(f"{options.pipeline}: added to {options.config}")


def _validate(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    import yaml

    from openalign.run.config import load_pipeline
    from openalign.run.settings_files import read_settings_file
    from openalign.settings.explained import explained
    from openalign.settings.fields import to_plain

    _refuse(beam_options)
    if options.pipeline:
        config = _config_of(options)
        name = config.name.rpartition("/")[2]  # a root is no key
        if options.explain:
            print(explained(name, config, without={"name"}), end="")  # noqa: T201
            return
        settings = to_plain(config)
        del settings["name"]  # the key says it; so the loader reads the output back
        whole = {name: settings}
        print(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True), end="")  # noqa: T201
        return
    if options.explain:
        raise ConfigError(
            "`--explain` is for one pipeline", hint="for example openalign validate demo --explain"
        )
    found = read_settings_file(options.config)
    names = list(found.own or found.shipped)
    width = max(map(len, names), default=0)
    for name in names:
        config = load_pipeline(options.config, name, options.overrides)
        print(f"{name:{width}} ok   {config.root:16} {config.description}")  # noqa: T201
        asked = [STAGES[stage].web(config) for stage in stage_names(config)]
        if not all(web.contact for web in asked if web is not None):
            print(f"{'':{width + 5}} set web.contact before it is run")  # noqa: T201


def _config_of(options: argparse.Namespace) -> "PipelineConfig":
    """Return the pipeline that a command names: of the settings file, or of a run's own root."""
    from openalign.run.translated import from_flags

    _require_one_source(options)
    model: str | None = getattr(options, "model", None)
    if model:
        root = from_flags.root_of(model, options.overrides)
        return from_flags.recorded(root, options.overrides, model=model)
    return _config_named(options, options.pipeline)


def _config_named(options: argparse.Namespace, name: str) -> "PipelineConfig":
    """Return a pipeline by its name in the settings file, or by its run's own root."""
    from openalign.run.config import load_pipeline
    from openalign.run.translated import from_flags

    if "/" in name:
        return from_flags.recorded(name.rstrip("/") or "/", options.overrides)
    return load_pipeline(options.config, name, options.overrides)


def _require_one_source(options: argparse.Namespace) -> None:
    """See that a command names a pipeline or a model, and no settings file that is not read."""
    model: str | None = getattr(options, "model", None)
    if model and options.pipeline is not None and hasattr(options, "words"):
        options.words.insert(0, options.pipeline)  # the first word that search looks for
        options.pipeline = None
    if model and options.pipeline is not None:
        raise ConfigError("a pipeline and `--model` exclude each other", hint="name one of them")
    if not model and options.pipeline is None:
        raise ConfigError(
            "no pipeline is named",
            hint="name one of the settings file, or a model with --model FOLDER",
        )
    if model and options.config != SETTINGS_FILE:
        raise ConfigError(
            "`--config` and `--model` exclude each other",
            hint="--set changes settings beside a model, and a pipeline may name it as "
            "`evaluate.model`",
        )


def _run_of(options: argparse.Namespace, beam_options: Sequence[str] = ()) -> "Run":
    replace = getattr(options, "replace", False)
    return _run(_config_of(options), beam_options=beam_options, replace=replace)


def _run(
    config: "PipelineConfig", *, beam_options: Sequence[str] = (), replace: bool = False
) -> "Run":
    from openalign.run.contract import Run
    from openalign.telemetry import set_up_logging

    set_up_logging()
    return Run(stages=STAGES, config=config, beam_options=tuple(beam_options), replace=replace)


def _refuse(beam_options: Sequence[str]) -> None:
    if beam_options:
        raise ConfigError(
            f"`-- {' '.join(beam_options)}` has no meaning here",
            hint="only verbs that run Beam jobs take its options",
        )


_VERBS: dict[str, Callable[[argparse.Namespace, Sequence[str]], int | None]] = {
    "run": _run_pipeline,
    "stage": _run_one,
    "estimate": _estimate,
    "search": _search,
    "export": _export,
    "compare": _compare,
    "datasets": _datasets,
    "datasets check": _check_dataset,
    "doctor": _doctor,
    "hostile-web": _hostile_web,
    "init": _init,
    "validate": _validate,
}
