"""What a verb offers to the command line, and the arguments that verbs share."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openalign.run.settings_files import SETTINGS_FILE

Options = argparse.Namespace
Do = Callable[[Options, Sequence[str]], int | None]
"""Does what a verb is for, given its options and those for Beam; returns an exit code, None for
0."""

BEAM_EPILOG = "What follows `--` goes to Beam, as --name=value (docs/cluster.md)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A word behind `openalign`."""

    name: str
    title: str
    """What it does, without an article and a full stop at its end."""

    do: Do
    arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None
    """Adds what it takes."""

    more: str = ""
    """A sentence that goes on where its title ends."""

    epilog: str = ""


def add_pipeline(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the pipeline's name, the settings file, and changes of settings."""
    name = parser.add_argument(
        "pipeline",
        nargs="?" if optional else None,
        help="a name in pipelines.yaml or among the recipes that ship, such as demo; or the root "
        "of a run, such as runs/demo",
    )
    completed_by(name, _pipelines)
    add_config(parser)
    add_overrides(parser)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the settings file."""
    parser.add_argument("--config", default=SETTINGS_FILE, metavar="PATH", help="the settings file")


def add_overrides(
    parser: argparse.ArgumentParser,
    *,
    what: str = "change a setting, for example train.seed=1; may be given more than once",
    of_data_set: bool = False,
) -> None:
    """Add changes of settings: of a pipeline, or of one data set."""
    override = parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help=what
    )
    completed_by(override, _of_a_data_set if of_data_set else _of_a_pipeline)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the choice of JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def completed_by(argument: argparse.Action, words: Callable[..., Sequence[str]]) -> None:
    """Say which words a shell may complete an argument with."""
    argument.completer = words  # type: ignore[attr-defined]  # argcomplete looks for it


def _of_a_pipeline(**_: object) -> Sequence[str]:
    from openalign.run.verbs.explaining import keys_with_values

    return [f"{key}=" for key in keys_with_values()]


def _of_a_data_set(**_: object) -> Sequence[str]:
    from openalign.run.verbs.explaining import all_keys

    section = "benchmarks.NAME."
    return [f"{key.removeprefix(section)}=" for key in all_keys() if key.startswith(section)]


def _pipelines(*, parsed_args: Options, **_: Any) -> Sequence[str]:
    from openalign.errors import OpenAlignError
    from openalign.run.settings_files import read_settings_file

    try:
        found = read_settings_file(str(getattr(parsed_args, "config", SETTINGS_FILE)))
    except OpenAlignError:
        return []
    runs = [f"{path}" for path in Path("runs").glob("*/")]
    return [*found.own, *found.shipped, *runs]
