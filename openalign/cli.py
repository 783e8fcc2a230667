"""The entry point: `openalign VERB PIPELINE`. Only this module prints results and catches errors.

Imports neither torch nor Beam; a verb imports what it needs when it runs.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from openalign.errors import ConfigError, OpenAlignError, StageError
from openalign.run.stages import STAGES, stage_names, stages_read

if TYPE_CHECKING:
    from openalign.evaluate.search.query import Query
    from openalign.run.contract import Run

_RUNNERS = {
    "local": "FnApiRunner",
    "spark": "SparkRunner",
    "flink": "FlinkRunner",
    "dataflow": "DataflowRunner",
}

_EPILOG = """\
start with:
  openalign run demo                     the whole chain on this machine, in minutes
  openalign validate                     what pipelines.yaml holds, checked
  openalign search demo "red apple"      find images with the trained model

change a setting for one run with --set, for example --set train.seed=1. What follows `--` goes to
Beam: openalign filter demo -- --direct_running_mode=multi_processing --direct_num_workers=2
"""


def entry() -> None:
    """Run the command line and exit with its code."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, or 2 for a mistake that the user can fix."""
    arguments = list(argv)
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options = _options(arguments[:split])
    try:
        options.verb(options, arguments[split + 1 :])
    except OpenAlignError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # the one place that prints
        if error.hint:
            print(f"\nhint: {error.hint}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)  # noqa: T201
        return 130
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse arguments; argparse itself misses optional words after an option."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if hasattr(options, "words") and not any(word.startswith("-") for word in rest):
        options.words += rest
    elif rest:
        parser.error(
            f"unrecognized arguments: {' '.join(rest)}; Beam's own options stand behind `--`"
        )
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="openalign",
        description="ALIGN, end to end: from web pages to a trained dual encoder and a report.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version("openalign"))
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    run = _add_verb(verbs.add_parser, "run", "run every stage that is not up to date", beam=True)
    run.set_defaults(verb=_run_pipeline)
    _add_consent(run)
    for stage in STAGES.values():
        if stage.is_verb:
            has_jobs = stage.jobs is not None
            verb = _add_verb(verbs.add_parser, stage.name, stage.title, beam=has_jobs)
            verb.set_defaults(verb=_run_one, stage=stage.name)
            if stage.is_dear:
                _add_consent(verb)
    search = _add_verb(verbs.add_parser, "search", "find images by words, an image, or both")
    search.add_argument("words", nargs="*", help="what to look for")
    search.add_argument("--image", help="an image file or URL to start from")
    search.add_argument("--plus", action="append", default=[], metavar="WORDS", help="add words")
    search.add_argument("--minus", action="append", default=[], metavar="WORDS", help="take away")
    for part in ("image", "plus", "minus"):
        search.add_argument(
            f"--{part}-weight",
            type=float,
            metavar="W",
            help="how much it counts; the first composed task of the pipeline has the default",
        )
    search.add_argument("-k", type=int, default=10, metavar="N", help="how many to print (10)")
    search.set_defaults(verb=_search)
    doctor = _add_verb(
        verbs.add_parser,
        "doctor",
        "see whether jobs can run on a cluster",
        beam=True,
        optional=True,
    )
    doctor.add_argument(
        "--runner",
        choices=_RUNNERS,
        help="where jobs would run; local, unless Beam's options name one",
    )
    doctor.set_defaults(verb=_doctor)
    validate = _add_verb(
        verbs.add_parser, "validate", "check pipelines and show their settings", optional=True
    )
    validate.add_argument(
        "--explain", action="store_true", help="print what each setting does above it"
    )
    validate.set_defaults(verb=_validate)
    return parser


def _add_verb(
    add: Callable[..., argparse.ArgumentParser],
    name: str,
    text: str,
    *,
    beam: bool = False,
    optional: bool = False,
) -> argparse.ArgumentParser:
    verb = add(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog="What follows `--` goes to Beam, as --name=value (docs/cluster.md)."
        if beam
        else None,
    )
    verb.add_argument(
        "pipeline", nargs="?" if optional else None, help="a name in pipelines.yaml, such as demo"
    )
    verb.add_argument(
        "--config", default="pipelines.yaml", metavar="PATH", help="the settings file"
    )
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="change a setting, for example train.seed=1; may be given more than once",
    )
    return verb


def _add_consent(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--yes",
        action="store_true",
        dest="replace",
        help="replace a complete harvest or fetch whose settings or input changed",
    )


def _run_pipeline(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from openalign.run import runner, summary

    run = _run_of(options, beam_options)
    summary.show(run, runner.run_all(run))


def _run_one(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from openalign.run import readiness, runner

    stage = STAGES[options.stage]
    if stage.jobs is None:
        _refuse(beam_options)
    run = _run_of(options, beam_options)
    if readiness.is_dry_run(run, stage):
        runner.dry_run(run, stage.name)
        return
    for name in stages_read(run.config, stage.name):
        if not STAGES[name].is_verb:
            runner.run_stage(run, name)  # nobody can ask for it by its name
    runner.run_stage(run, stage.name)


def _search(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from openalign.run.measured_model import model_url
    from openalign.run.readiness import require_libraries

    run = _run_of(options, beam_options)
    require_libraries(STAGES["evaluate"])
    from openalign.evaluate.datasets.kinds import kind_of
    from openalign.evaluate.search.searcher import Searcher

    run.folder("evaluate").require()
    query = _query(run, options)
    searcher = Searcher.open(
        run.folder("evaluate").url,
        model=model_url(run),
        image_folders={
            name: kind_of(dataset).image_folder(dataset)
            for name, dataset in run.config.benchmarks.items()
        },
    )
    for rank, hit in enumerate(searcher.find(query, options.k), start=1):
        print(f"{rank:3}  {hit.score:+.3f}  {hit.key}  {hit.path}")  # noqa: T201


def _query(run: "Run", options: argparse.Namespace) -> "Query":
    from openalign.evaluate.search.query import Query
    from openalign.evaluate.tasks.kinds import query_weights

    default = query_weights(run.config.evaluate.tasks)

    def weight(given: float | None, otherwise: float) -> float:
        return otherwise if given is None else given

    return Query(
        text=" ".join(options.words) or None,
        image=options.image,
        plus=tuple(options.plus),
        minus=tuple(options.minus),
        image_weight=weight(options.image_weight, default.image),
        plus_weight=weight(options.plus_weight, default.plus),
        minus_weight=weight(options.minus_weight, default.minus),
    )


def _doctor(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    from openalign.run.config import load_pipeline
    from openalign.run.readiness import require_libraries
    from openalign.telemetry import set_up_logging

    set_up_logging()
    require_libraries(STAGES["filter"])
    from openalign.engines import runners
    from openalign.engines.doctor import preflight
    from openalign.files import storage

    root = "runs"
    if options.pipeline:
        root = load_pipeline(options.config, options.pipeline, options.overrides).root
    flags = list(beam_options)
    if options.runner is not None:
        flags.insert(0, f"--runner={_RUNNERS[options.runner]}")
        if len(runners.named_runners(flags)) > 1:
            raise ConfigError("two runners are named", hint="give one, as --runner spark")
    if any(flag.startswith("--dry_run") for flag in beam_options):
        raise ConfigError(
            "a dry run is for a stage", hint="openalign filter NAME -- ... --dry_run=True"
        )
    num_failed, is_new = 0, storage.is_local(root) and not storage.exists(root)
    storage.check_reachable(root)
    storage.check_writable(root)
    for check in preflight.all_checks(flags, storage.absolute(root)):
        word = "FAILS" if check.problem else "?" if check.unknown else "ok"
        print(f"{word:6} {check.subject:13} {check.found}")  # noqa: T201
        if check.problem:
            num_failed += 1
            print(f"{'':20} {check.problem}\n{'':20} hint: {check.hint}")  # noqa: T201
    if is_new and storage.exists(root) and not storage.list_names(root):
        storage.remove(root)
    if num_failed:
        raise StageError(f"jobs cannot run there: {num_failed} of the checks failed")


def _validate(options: argparse.Namespace, beam_options: Sequence[str]) -> None:
    import yaml

    from openalign.run.config import load_pipeline, pipeline_names
    from openalign.settings.explained import explained
    from openalign.settings.fields import to_plain

    _refuse(beam_options)
    if options.pipeline:
        config = load_pipeline(options.config, options.pipeline, options.overrides)
        if options.explain:
            print(explained(config.name, config, without={"name"}), end="")  # noqa: T201
            return
        settings = to_plain(config)
        del settings["name"]  # the key says it; so the loader reads the output back
        whole = {config.name: settings}
        print(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True), end="")  # noqa: T201
        return
    if options.explain:
        raise ConfigError(
            "`--explain` is for one pipeline", hint="for example openalign validate demo --explain"
        )
    for name in pipeline_names(options.config):
        config = load_pipeline(options.config, name, options.overrides)
        print(f"{name:8} ok   {config.root:16} {config.description}")  # noqa: T201
        asked = [STAGES[stage].web(config) for stage in stage_names(config)]
        if not all(web.contact for web in asked if web is not None):
            print(f"{'':13} set web.contact before it is run")  # noqa: T201


def _run_of(options: argparse.Namespace, beam_options: Sequence[str]) -> "Run":
    from openalign.run.config import load_pipeline
    from openalign.run.contract import Run
    from openalign.telemetry import set_up_logging

    set_up_logging()
    if options.verb is _search:
        _refuse(beam_options)
    return Run(
        stages=STAGES,
        config=load_pipeline(options.config, options.pipeline, options.overrides),
        beam_options=tuple(beam_options),
        replace=getattr(options, "replace", False),
    )


def _refuse(beam_options: Sequence[str]) -> None:
    if beam_options:
        raise ConfigError(
            f"`-- {' '.join(beam_options)}` has no meaning here",
            hint="only verbs that run Beam jobs take its options",
        )
