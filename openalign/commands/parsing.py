"""How a command line is read: the table of verbs, and the parser that is made of it."""

import argparse
import difflib
import re
import shlex
from collections.abc import Sequence
from dataclasses import is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn, cast, get_args, get_type_hints

from openalign.commands import looking, making, measuring, searching
from openalign.commands.contract import BEAM_EPILOG, Options, Verb
from openalign.commands.stage_verbs import RUN, stage_verbs
from openalign.errors import OpenAlignError
from openalign.run.settings_files import SETTINGS_FILE, read_settings_file
from openalign.run.stages import STAGES
from openalign.settings.key_hints import key_hint

_BESIDE_STAGES: tuple[Verb, ...] = (
    looking.STATUS,
    looking.SHOW,
    searching.SEARCH,
    measuring.COMPARE,
    measuring.ESTIMATE,
    making.EXPORT,
    making.INIT,
    looking.VALIDATE,
    looking.EXPLAIN,
    measuring.DATASETS,
    looking.DOCTOR,
    making.CLEAN,
    making.COMPLETION,
    making.HOSTILE_WEB,
)
"""In the order in which the help has them, behind `run` and the stages."""

_EPILOG = """\
start with:
  openalign run demo                     the whole chain on this machine, in minutes
  openalign init NAME PATH               a first pipeline of your own table, folder, tars or model
  openalign validate                     what pipelines.yaml holds, checked
  openalign search demo "crescent moon"  find images with the trained model
  openalign evaluate --model FOLDER --data flickr30k=dataset_flickr30k.json
                                         measure a model that you have

change a setting for one run with --set, for example --set train.seed=1. What follows `--` goes to
Beam: openalign filter demo -- --direct_running_mode=multi_processing --direct_num_workers=2
"""


_MEANT = {"help": "openalign --help", "version": "openalign -V"}
"""Words that people type in place of a verb, and what they ask for."""


class _Parser(argparse.ArgumentParser):
    """Names the verb, choice or pipeline that was probably meant."""

    def error(self, message: str) -> NoReturn:
        if message.endswith(" required: pipeline"):
            there = f"there are: {', '.join(_pipelines())}" if _pipelines() else "name one"
            # `--retry` takes all words that follow it for states.
            first = "; its name stands before --retry" if self.prog.endswith(" fetch") else ""
            self.exit(2, f"error: no pipeline is named\n\nhint: {there}{first}\n")
        found = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if found is not None:
            choices = re.findall(r"[\w-]+", found[2])
            close = difflib.get_close_matches(found[1], choices, n=1)
            meant = f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(choices)}"
            if found[1] in _MEANT and "run" in choices:
                meant = f"did you mean `{_MEANT[found[1]]}`?"
            if "run" in choices and found[1] in _pipelines():
                meant = f"did you mean `openalign run {found[1]}`?"
            self.exit(2, f"error: there is no `{found[1]}`\n\nhint: {meant}\n")
        super().error(message)


def all_verbs() -> list[Verb]:
    """Return every verb."""
    return [RUN, *stage_verbs(), *_BESIDE_STAGES]


def read(arguments: Sequence[str]) -> Options:
    """Parse arguments; argparse itself misses optional words after an option."""
    words = parser()
    options, rest = words.parse_known_args(arguments)
    optional = getattr(options, "words", getattr(options, "more_runs", None))
    if getattr(options, "path", "") is None and rest and not rest[0].startswith("-"):
        options.path = rest.pop(0)
    if optional is not None and not any(word.startswith("-") for word in rest):
        optional += rest
    elif rest:
        words.error(f"unrecognized arguments: {' '.join(rest)}; {_meant(rest, options)}")
    return options


def _pipelines() -> list[str]:
    """Return the names of the pipelines; of none where the settings file cannot be read."""
    try:
        found = read_settings_file(SETTINGS_FILE)
    except OpenAlignError:
        return []
    return list(dict.fromkeys([*found.own, *found.shipped]))


def _meant(rest: Sequence[str], options: Options) -> str:
    """Return what was probably meant by words that a verb does not take."""
    word, verb = rest[0], options.verb
    without_value = [each for each in getattr(options, "overrides", ()) if "=" not in each]
    if without_value and not word.startswith("-"):
        value = " ".join(rest).removeprefix("=").strip()
        return f"did you mean --set {without_value[-1]}={value}?"
    if verb == making.INIT.name and not word.startswith("-"):
        return _fewer_words(options.pipeline, [options.path, *rest])
    if verb == searching.SEARCH.name and word.startswith("-") and not word.startswith("--"):
        return f"words that begin with a dash stand behind `--`: -- {shlex.join(rest)}"
    if word.startswith("--") and "." in word.partition("=")[0]:
        return f"did you mean --set {' '.join(rest)[2:].replace(' ', '=', 1)}?"
    if word.partition("=")[0].replace("_", "-") == "--dry-run":
        of = verb if verb in STAGES and STAGES[verb].jobs is not None else "filter"
        name = getattr(options, "pipeline", None) or "NAME"
        return (
            "a dry run builds the Beam jobs of one stage and makes nothing: "
            f"openalign {of} {name} -- --dry_run=True"
        )
    return _flag_meant(rest, options)


def _flag_meant(rest: Sequence[str], options: Options) -> str:
    """Return what was probably meant by a flag that a verb does not have."""
    word, verb = rest[0], options.verb
    asked = next((each for each in all_verbs() if each.name == verb), None)
    if asked is None:
        return "flags stand behind a verb, as in openalign run demo --set train.seed=1"
    taken = argparse.ArgumentParser()
    asked.arguments(taken)
    flags = re.findall(r"--([\w-]+)", taken.format_help())
    flag, _, value = word.lstrip("-").partition("=")
    if f"--{flag}" == word.partition("=")[0] and flag in flags:
        return f"it stands behind `{verb}`"
    helps = f"openalign {verb} --help says what it takes"
    if not word.startswith("-"):
        return helps
    # Two dashes are alike in all flags, and would make each near to any other.
    if close := difflib.get_close_matches(flag, flags, n=1):
        return f"did you mean --{close[0]}?"
    if "overrides" in options and (key := _setting_near(flag.replace("-", "_"), asked)):
        return f"did you mean --set {key}={value or ' '.join(rest[1:]) or 'VALUE'}?"
    return "Beam's own options stand behind `--`" if asked.epilog == BEAM_EPILOG else helps


def _fewer_words(name: str, others: Sequence[str]) -> str:
    """Return how more than a name and a path are written as these two."""
    path = " ".join(others)
    if not Path(path).exists():
        name, path = "-".join([name, *others[:-1]]), others[-1]
    return (
        "a name is one word, and a path with spaces stands in quotation marks: "
        f"openalign init {shlex.quote(name.lower())} {shlex.quote(path)}"
    )


def _setting_near(name: str, asked: Verb) -> str | None:
    """Return the key of the setting that a flag is called like: of the verb's own section first."""
    from openalign.run.config import PipelineConfig

    hint = get_type_hints(PipelineConfig).get(asked.name)
    sections = [kind for kind in get_args(hint) or (hint,) if is_dataclass(kind)]
    own = [key_hint(cast("type[Any]", kind), name, section=asked.name) for kind in sections]
    found = re.search("`(.*?)`", next(filter(None, [*own, key_hint(PipelineConfig, name)]), ""))
    return found and found[1]


def parser() -> argparse.ArgumentParser:
    """Return the parser. The option `do` is what the verb does, and `verb` its name."""
    whole = _Parser(
        prog="openalign",
        description="ALIGN, end to end: from web pages to a trained dual encoder and a report.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("-V", "--version", action="version", version=version("openalign"))
    verbs: Any = whole.add_subparsers(metavar="VERB", dest="verb", parser_class=_Parser)
    for verb in all_verbs():
        added = verbs.add_parser(
            verb.name,
            help=verb.title,
            description=f"{verb.title[0].upper()}{verb.title[1:]}{verb.more}.",
            epilog=verb.epilog or None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(do=verb.do)
        verb.arguments(added)
    return whole
