"""Verbs that answer in numbers: `estimate`, `compare`, `datasets`."""

import argparse
from collections.abc import Sequence

from openalign.commands.contract import (
    Options,
    Verb,
    add_config,
    add_json,
    add_overrides,
    add_pipeline,
)
from openalign.commands.named import refuse, run_of
from openalign.commands.output import tell, tell_json, tell_lines
from openalign.run.stages import STAGES
from openalign.settings.yaml_reader import quoted

# estimate -----------------------------------------------------------------------------------------


def _add_estimate(parser: argparse.ArgumentParser) -> None:
    add_pipeline(parser)
    parser.add_argument(
        "--sample", type=int, default=1000, metavar="N", help="candidates to try, about (1000)"
    )
    parser.add_argument(
        "--price-core-hour", type=float, metavar="PRICE", help="of an hour of a core"
    )
    parser.add_argument(
        "--price-gb-month", type=float, metavar="PRICE", help="of a gigabyte stored for a month"
    )
    add_json(parser)


def _estimate(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.readiness import require_libraries

    refuse(beam_options)
    run = run_of(options)
    require_libraries(STAGES["fetch"])
    from openalign.run.verbs import estimating, projection

    found = estimating.estimate(
        run,
        sample=options.sample,
        price_core_hour=options.price_core_hour,
        price_gb_month=options.price_gb_month,
    )
    tell_json(found) if options.json else tell_lines(projection.lines(found))


# compare ------------------------------------------------------------------------------------------


def _add_compare(parser: argparse.ArgumentParser) -> None:
    run = "a name in pipelines.yaml, or the root of a run, such as runs/align-base"
    parser.add_argument("baseline", metavar="RUN_A", help=f"what is compared with: {run}")
    parser.add_argument(
        "runs", metavar="RUN_B", nargs="+", help="the runs that are compared with it"
    )
    add_config(parser)
    parser.add_argument(
        "--metrics",
        action="append",
        default=[],
        metavar="GLOB",
        help="compare these metrics, for example '*/recall_at_1'; may be given more than once",
    )
    parser.add_argument(
        "--confidence",
        type=float,
        metavar="SHARE",
        help="share of the resampled differences that an interval holds; the baseline's own "
        "(`evaluate.confidence`) unless it is given",
    )
    parser.add_argument(
        "--output", metavar="FOLDER", help="where the page goes; RUN_B's root, in compare/"
    )
    add_json(parser)


def _compare(options: Options, beam_options: Sequence[str]) -> int:
    from openalign.run.readiness import require_libraries
    from openalign.telemetry import say, set_up_logging

    refuse(beam_options)
    set_up_logging()
    require_libraries(STAGES["report"])
    from openalign.evaluate.compare import terminal
    from openalign.evaluate.compare.records import to_json
    from openalign.run.verbs.comparing import compare_runs

    comparison, url = compare_runs(
        [options.baseline, *options.runs],
        settings_file=options.config,
        output=options.output,
        confidence=options.confidence,
        patterns=options.metrics,
    )
    if options.json:
        tell(to_json(comparison).rstrip())
    else:
        tell_lines(terminal.lines(comparison))
    say(f"comparison: {url}")
    return int(comparison.is_worse)


# datasets -----------------------------------------------------------------------------------------


def _add_datasets(parser: argparse.ArgumentParser) -> None:
    from openalign.run.verbs import data_set_forms

    actions = parser.add_subparsers(metavar="KIND|check")
    for name in data_set_forms.names():  # without a help text: `datasets` itself lists them
        actions.add_parser(name).set_defaults(do=_show_kind, kind=name)
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
    add_overrides(
        check,
        what="a setting of its kind that the path does not tell, for example splits=FILE; may be "
        "given more than once",
        of_data_set=True,
    )
    add_json(check)
    check.set_defaults(do=_check_dataset)


def _datasets(_: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.verbs import data_set_forms

    refuse(beam_options)
    tell_lines(data_set_forms.form_lines())


def _show_kind(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.verbs import data_set_forms

    refuse(beam_options)
    tell_lines(data_set_forms.kind_lines(options.kind))


def _check_dataset(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.verbs import data_set_forms

    refuse(beam_options)
    changes = list(options.overrides)
    if options.images is not None:
        changes.append(f"images={quoted(options.images)}")
    copies = data_set_forms.check(options.path, options.kind, changes)
    tell_json(copies) if options.json else tell_lines(data_set_forms.check_lines(copies))
    data_set_forms.require_whole(copies)


ESTIMATE = Verb(
    name="estimate",
    title="fetch a sample, and say what the whole fetch would cost",
    do=_estimate,
    arguments=_add_estimate,
)
COMPARE = Verb(
    name="compare",
    title="test whether a model is better or worse than another",
    more=": paired differences with bootstrap intervals",
    do=_compare,
    arguments=_add_compare,
    epilog="The exit code is 1 if any metric got worse beyond its interval (docs/compare.md).",
)
DATASETS = Verb(
    name="datasets",
    title="list the forms of data sets that are read, show one, or check a copy",
    do=_datasets,
    arguments=_add_datasets,
)
