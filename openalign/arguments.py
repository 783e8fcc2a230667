"""The command line's verbs and flags, and how they are read. What a verb does stands in `cli`.

Imports neither torch nor Beam.
"""

import argparse
from collections.abc import Callable, Sequence
from importlib.metadata import version

from openalign.run.settings_files import SETTINGS_FILE
from openalign.run.stages import STAGES

RUNNERS = {
    "local": "FnApiRunner",
    "spark": "SparkRunner",
    "flink": "FlinkRunner",
    "dataflow": "DataflowRunner",
}
"""Beam's runners, by the names that `doctor` takes."""

REPORT = "report"
"""The stage that several runs may be named for."""

_EPILOG = """\
start with:
  openalign run demo                     the whole chain on this machine, in minutes
  openalign validate                     what pipelines.yaml holds, checked
  openalign search demo "red apple"      find images with the trained model
  openalign evaluate --model FOLDER --data flickr30k=dataset_flickr30k.json
                                         measure a model that you have

change a setting for one run with --set, for example --set train.seed=1. What follows `--` goes to
Beam: openalign filter demo -- --direct_running_mode=multi_processing --direct_num_workers=2
"""

_MODEL_EPILOG = """\
without a settings file:
  openalign evaluate --model FOLDER --data flickr30k=dataset_flickr30k.json
  openalign report --model FOLDER
  openalign search --model FOLDER "red apple"

The run lies in runs/<the folder's name>, which may be named in place of --model.
"""


def read(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse arguments; argparse itself misses optional words after an option."""
    words = parser()
    options, rest = words.parse_known_args(arguments)
    optional = getattr(options, "words", getattr(options, "more_runs", None))
    if optional is not None and not any(word.startswith("-") for word in rest):
        optional += rest
    elif rest:
        words.error(
            f"unrecognized arguments: {' '.join(rest)}; Beam's own options stand behind `--`"
        )
    return options


def parser() -> argparse.ArgumentParser:
    """Return the parser. The option `verb` is the verb's name, and `stage` that of a stage."""
    whole = argparse.ArgumentParser(
        prog="openalign",
        description="ALIGN, end to end: from web pages to a trained dual encoder and a report.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=version("openalign"))
    verbs = whole.add_subparsers(required=True, metavar="VERB")
    add = verbs.add_parser
    run = _add_verb(add, "run", "run every stage that is not up to date", beam=True)
    _add_consent(run)
    for stage in STAGES.values():
        if stage.is_verb:
            has_jobs = stage.jobs is not None
            verb = _add_verb(
                add, stage.name, stage.title, beam=has_jobs, by_model=stage.takes_model
            )
            verb.set_defaults(verb="stage", stage=stage.name)
            if stage.is_dear:
                _add_consent(verb)
            if stage.jobs_again is not None:
                _add_rounds(verb)
            if stage.takes_data:
                _add_data(verb)
            if stage.name == REPORT:
                _add_more_runs(verb)
    _add_estimate(add)
    _add_search(_add_verb(add, "search", "find images by words, an image, or both", by_model=True))
    _add_export(add)
    _add_compare(add)
    _add_datasets(add("datasets", help="list the forms of data sets, or check a copy of one"))
    doctor = _add_verb(
        add, "doctor", "see whether jobs can run on a cluster", beam=True, optional=True
    )
    doctor.add_argument(
        "--runner",
        choices=RUNNERS,
        help="where jobs would run; local, unless Beam's options name one",
    )
    _add_hostile_web(add)
    _add_init(add)
    validate = _add_verb(add, "validate", "check pipelines and show their settings", optional=True)
    validate.add_argument(
        "--explain", action="store_true", help="print what each setting does above it"
    )
    return whole


def _add_verb(
    add: Callable[..., argparse.ArgumentParser],
    name: str,
    text: str,
    *,
    beam: bool = False,
    optional: bool = False,
    by_model: bool = False,
) -> argparse.ArgumentParser:
    beams = "What follows `--` goes to Beam, as --name=value (docs/cluster.md)." if beam else None
    verb = add(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=_MODEL_EPILOG if by_model else beams,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.set_defaults(verb=name)
    verb.add_argument(
        "pipeline",
        nargs="?" if optional or by_model else None,
        help="a name in pipelines.yaml, such as demo",
    )
    verb.add_argument("--config", default=SETTINGS_FILE, metavar="PATH", help="the settings file")
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="change a setting, for example train.seed=1; may be given more than once",
    )
    if by_model:
        verb.add_argument(
            "--model",
            metavar="FOLDER",
            help="in place of a pipeline: a model's folder or URL, as hf://kakaobrain/align-base",
        )
    return verb


def _add_rounds(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--retry",
        nargs="*",
        metavar="STATE",
        help="try again what can heal of a complete fetch, or what ended in these states",
    )
    verb.add_argument(
        "--limit",
        type="fetch.limit={}".format,
        action="append",
        dest="overrides",
        metavar="N",
        help="for a first look: try so many candidates; --retry goes on with the others",
    )


def _add_data(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="with --model: what it is measured on; may be given more than once (`openalign "
        "datasets` lists the names)",
    )
    verb.add_argument(
        "--allow-missing",
        action="append_const",
        dest="overrides",
        const="evaluate.allow_missing=true",
        help="count images that are not there, and go on without them",
    )
    verb.add_argument(
        "--fast",
        action="append_const",
        dest="overrides",
        const="evaluate.fast=true",
        help="a smoke test on the first images of each split; its numbers mean nothing",
    )


def _add_more_runs(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "more_runs",
        nargs="*",
        metavar="run",
        help="further pipelines or roots of runs: one report with a row a run",
    )
    verb.add_argument(
        "--output", default="", metavar="FOLDER", help="where a report on several runs goes"
    )


def _add_hostile_web(add: Callable[..., argparse.ArgumentParser]) -> None:
    title = "serve a web that fails in every way, to try fetch on"
    verb = add(
        "hostile-web",
        help=title,
        description=f"{title[0].upper()}{title[1:]}, until it is interrupted. It prints a pipeline "
        "that fetches from it.",
        epilog="docs/hostile_web.md lists the cases.",
    )
    verb.set_defaults(verb="hostile-web")
    verb.add_argument(
        "--list", action="store_true", help="print the cases as a table, and serve nothing"
    )
    verb.add_argument(
        "--candidates",
        default="hostile_web.parquet",
        metavar="FILE",
        help="where the addresses go, with the state that each must end in (%(default)s)",
    )
    verb.add_argument(
        "--per-case", type=int, default=1, metavar="N", help="addresses of each case (1)"
    )
    verb.add_argument(
        "--port", type=int, default=0, metavar="P", help="the first of three ports; 0 takes any"
    )
    verb.add_argument(
        "--another-day", action="store_true", help="serve the hosts as they are once they are well"
    )


def _add_init(add: Callable[..., argparse.ArgumentParser]) -> None:
    title = "make a pipeline of a command of img2dataset"
    verb = add(
        "init",
        help=title,
        description=f"{title[0].upper()}{title[1:]}, and print it.",
        epilog="docs/coming_from_img2dataset.md says what becomes of each argument.",
    )
    verb.set_defaults(verb="init")
    verb.add_argument("pipeline", metavar="NAME", help="what the pipeline is called")
    verb.add_argument(
        "--from-img2dataset",
        required=True,
        metavar="COMMAND",
        help="the command, in quotation marks, with or without the program's name",
    )
    verb.add_argument(
        "--append", action="store_true", help="add it to the settings file and print nothing"
    )
    verb.add_argument("--config", default=SETTINGS_FILE, metavar="PATH", help="the settings file")


def _add_consent(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--yes",
        action="store_true",
        dest="replace",
        help="replace a complete harvest, fetch or training whose settings or input changed",
    )


def _add_estimate(add: Callable[..., argparse.ArgumentParser]) -> None:
    verb = _add_verb(add, "estimate", "fetch a sample, and say what the whole fetch would cost")
    verb.add_argument(
        "--sample", type=int, default=1000, metavar="N", help="candidates to try, about (1000)"
    )
    verb.add_argument("--price-core-hour", type=float, metavar="PRICE", help="of an hour of a core")
    verb.add_argument(
        "--price-gb-month", type=float, metavar="PRICE", help="of a gigabyte stored for a month"
    )
    verb.add_argument("--json", action="store_true", help="print JSON in place of a table")


def _add_search(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("words", nargs="*", help="what to look for")
    verb.add_argument("--image", help="an image file or URL to start from")
    verb.add_argument("--plus", action="append", default=[], metavar="WORDS", help="add words")
    verb.add_argument("--minus", action="append", default=[], metavar="WORDS", help="take away")
    for part in ("image", "plus", "minus"):
        verb.add_argument(
            f"--{part}-weight",
            type=float,
            metavar="W",
            help="how much it counts; the first composed task of the pipeline has the default",
        )
    verb.add_argument("-k", type=int, metavar="N", help="how many to print (10)")


def _add_export(add: Callable[..., argparse.ArgumentParser]) -> None:
    verb = _add_verb(add, "export", "write the model of another kept checkpoint")
    verb.add_argument(
        "--step", type=int, required=True, metavar="N", help="steps that the checkpoint has done"
    )
    verb.add_argument(
        "--output",
        default="",
        metavar="FOLDER",
        help="where the Hugging Face folder goes; in the run's root by default",
    )


def _add_compare(add: Callable[..., argparse.ArgumentParser]) -> None:
    title = "test whether a model is better or worse than another"
    verb = add(
        "compare",
        help=title,
        description=f"{title[0].upper()}{title[1:]}: paired differences with bootstrap intervals.",
        epilog="The exit code is 1 if any metric got worse beyond its interval (docs/compare.md).",
    )
    verb.set_defaults(verb="compare")
    run = "a name in pipelines.yaml, or the root of a run, such as runs/align-base"
    verb.add_argument("baseline", metavar="RUN_A", help=f"what is compared with: {run}")
    verb.add_argument("runs", metavar="RUN_B", nargs="+", help="the runs that are compared with it")
    verb.add_argument("--config", default=SETTINGS_FILE, metavar="PATH", help="the settings file")
    verb.add_argument(
        "--metrics",
        action="append",
        default=[],
        metavar="GLOB",
        help="compare these metrics, for example '*/recall_at_1'; may be given more than once",
    )
    verb.add_argument(
        "--confidence",
        type=float,
        metavar="SHARE",
        help="share of the resampled differences that an interval holds; the baseline's own "
        "(`evaluate.confidence`) unless it is given",
    )
    verb.add_argument(
        "--output", metavar="FOLDER", help="where the page goes; RUN_B's root, in compare/"
    )


def _add_datasets(verb: argparse.ArgumentParser) -> None:
    verb.description = "List the forms of data sets that are read, or check a copy of one."
    verb.set_defaults(verb="datasets")
    actions = verb.add_subparsers(metavar="ACTION")
    check = actions.add_parser(
        "check",
        help="count what a copy holds, and say what it lacks",
        description="Count images, captions and classes of a copy, split by split, and say which "
        "images are not there.",
    )
    check.add_argument("path", help="where the data set lies")
    check.add_argument(
        "--kind", default="", help="its kind, or its published name; told by the path otherwise"
    )
    check.add_argument("--images", metavar="FOLDER", help="where its images lie, if elsewhere")
    check.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="a setting of its kind that the path does not tell, for example splits=FILE; may be "
        "given more than once",
    )
    check.set_defaults(verb="datasets check")
