"""Verbs beside the stages: `init`, `export`, `clean`, `completion`, `hostile-web`."""

import argparse
import sys
from collections.abc import Sequence
from time import sleep
from typing import get_args

from openalign.commands.contract import Options, Verb, add_config, add_pipeline
from openalign.commands.named import refuse, run_of
from openalign.commands.output import tell, tell_lines
from openalign.errors import ConfigError
from openalign.run.stages import STAGES
from openalign.train.config import StepWeights

_SHELLS = ("bash", "zsh", "fish")


# init ---------------------------------------------------------------------------------------------


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pipeline", metavar="NAME", nargs="?", help="what the pipeline is called")
    parser.add_argument("path", metavar="PATH", nargs="?", help="where the data or the model lies")
    parser.add_argument(
        "--from",
        dest="kind",
        default="",
        metavar="KIND",
        help="table, site, warc, tars, folder or checkpoint; told by the path otherwise",
    )
    parser.add_argument(
        "--contact", default="", help="an e-mail address or URL, which hosts are told"
    )
    parser.add_argument(
        "--url-column", default="", metavar="NAME", help="of a table: where addresses stand"
    )
    parser.add_argument(
        "--caption-column", default="", metavar="NAME", help="of a table: where texts stand"
    )
    parser.add_argument(
        "--from-img2dataset",
        metavar="COMMAND",
        help="in place of PATH: a command of img2dataset, in quotation marks",
    )
    parser.add_argument(
        "--print", action="store_true", help="print it, and leave the settings file as it is"
    )
    add_config(parser)


def _init(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.translated import from_data, from_img2dataset, writing
    from openalign.telemetry import say, set_up_logging

    refuse(beam_options)
    set_up_logging()  # before Beam is imported, which warns of libraries that are not needed
    name = options.pipeline or _asked("What is the pipeline to be called?", "NAME")
    if options.from_img2dataset is not None:
        text = from_img2dataset.pipeline_text(name, options.from_img2dataset)
    else:
        path = options.path or _asked("Where does the data, or the model, lie?", "PATH")
        told = from_data.Told(
            kind=options.kind,
            contact=options.contact,
            url_column=options.url_column,
            caption_column=options.caption_column,
        )
        text = from_data.pipeline_text(name, path, told)
    if options.print:
        tell(text.rstrip("\n"))
        return
    writing.append(options.config, name, text)
    say(f"{name}: added to {options.config}; openalign validate {name} shows it with all settings")
    todo = "set its web.contact, then " if 'contact: ""' in text else ""
    if "\n  harvest:" not in text:  # the benchmark of a model is an example
        todo = "say under its benchmarks where yours lie, then "
        if from_data.NO_TOKENIZER in text:
            todo = (
                "the model has no tokenizer: name as its evaluate.processor a folder with its "
                f"processor's files, such as vocab.txt; {todo}"
            )
    say(f"next: {todo}openalign run {name}")


def _asked(question: str, argument: str) -> str:
    """Return what a person answers.

    Raises:
        ConfigError: nobody is there to answer.
    """
    answer = ""
    if sys.stdin.isatty():
        sys.stderr.write(f"{question} ")  # results alone go to stdout
        sys.stderr.flush()
        answer = sys.stdin.readline().strip()
    if not answer:
        raise ConfigError(
            f"{argument} is missing", hint="for example openalign init mine pairs.parquet"
        )
    return answer


# export -------------------------------------------------------------------------------------------


def _add_export(parser: argparse.ArgumentParser) -> None:
    add_pipeline(parser)
    parser.add_argument(
        "--step",
        type=int,
        metavar="N",
        help="steps that the checkpoint has done; the last step is exported by `train`",
    )
    parser.add_argument(
        "--weights",
        choices=get_args(StepWeights),
        help="`last`: as the step left them; `ema`: their average; by default what `train.export` "
        "of the run says",
    )
    parser.add_argument(
        "--output",
        default="",
        metavar="FOLDER",
        help="where the Hugging Face folder goes; in the run's root by default, as "
        "export-step-N or export-step-N-ema",
    )


def _export(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.readiness import require_libraries

    refuse(beam_options)
    run = run_of(options)
    require_libraries(STAGES["train"])
    from openalign.run.verbs.exporting import AskedExport, export

    asked = AskedExport(
        step=options.step,
        weights=options.weights,
        output=options.output,
        overrides=options.overrides,
    )
    tell(export(run, asked))


# clean --------------------------------------------------------------------------------------------


def _add_clean(parser: argparse.ArgumentParser) -> None:
    add_pipeline(parser)
    parser.add_argument("--yes", action="store_true", help="remove them; else they are named only")


def _clean(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.amounts import bytes_in_words
    from openalign.run.verbs import cleaning

    refuse(beam_options)
    run = run_of(options)
    found = cleaning.leftovers(run)
    if not found:
        tell(f"nothing unfinished lies in {run.config.root}")
        return
    removed = cleaning.remove(run, found) if options.yes else found
    done = "removed" if options.yes else "could go"
    tell_lines(
        f"{done}: {bytes_in_words(each.num_bytes):>9}  {each.stage:9} {each.url}"
        for each in removed
    )
    if not options.yes:
        tell("a stage that was stopped goes on from its folder; --yes removes them, and it begins")
        tell("anew. Complete results stay.")


# completion ---------------------------------------------------------------------------------------


def _add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=_SHELLS)


def _completion(options: Options, beam_options: Sequence[str]) -> None:
    refuse(beam_options)
    from argcomplete.shell_integration import shellcode

    tell(shellcode(["openalign"], shell=options.shell).rstrip("\n"))


# hostile-web --------------------------------------------------------------------------------------

_LATE_SECONDS = 0.5
"""How late an interruption may be seen."""


def _add_hostile_web(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--list", action="store_true", help="print the cases as a table, and serve nothing"
    )
    parser.add_argument(
        "--candidates",
        default="hostile_web.parquet",
        metavar="FILE",
        help="where the addresses go, with the state that each must end in (%(default)s)",
    )
    parser.add_argument(
        "--per-case", type=int, default=1, metavar="N", help="addresses of each case (1)"
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="P", help="the first of four ports; 0 takes any"
    )
    parser.add_argument(
        "--another-day", action="store_true", help="serve the hosts as they are once they are well"
    )


def _hostile_web(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.readiness import require_libraries
    from openalign.telemetry import say, set_up_logging

    refuse(beam_options)
    set_up_logging()
    require_libraries(STAGES["fetch"])
    from openalign.run.verbs import fault_server

    if options.list:
        tell_lines(fault_server.case_lines())
        return
    with fault_server.serving(
        options.candidates,
        port=options.port,
        num_per_case=options.per_case,
        is_another_day=options.another_day,
    ) as pipeline:
        tell(pipeline.rstrip("\n"))
        say(f"{options.candidates}: written; served until this is interrupted (Ctrl-C)")
        # Polars takes SIGINT, and then a wait without an end is not interrupted.
        while True:
            sleep(_LATE_SECONDS)


INIT = Verb(
    name="init",
    title="make a first pipeline of the data or the model that you have",
    more=", small enough to end in minutes, and add it to pipelines.yaml",
    do=_init,
    arguments=_add_init,
    epilog="docs/coming_from_img2dataset.md says what becomes of img2dataset's arguments.",
)
EXPORT = Verb(
    name="export",
    title="write the model of another kept checkpoint",
    do=_export,
    arguments=_add_export,
)
CLEAN = Verb(
    name="clean",
    title="remove what was begun and not completed",
    do=_clean,
    arguments=_add_clean,
)
COMPLETION = Verb(
    name="completion",
    title="print what lets a shell complete verbs, pipelines and settings",
    do=_completion,
    arguments=_add_completion,
    epilog='In bash: eval "$(openalign completion bash)"',
)
HOSTILE_WEB = Verb(
    name="hostile-web",
    title="serve a web that fails in every way, to try fetch on",
    more=", until it is interrupted. It prints a pipeline that fetches from it",
    do=_hostile_web,
    arguments=_add_hostile_web,
    epilog="docs/hostile_web.md lists the cases.",
)
