"""Verbs beside the stages: `init`, `export`, `clean`, `completion`, `hostile-web`."""

import argparse
from collections.abc import Sequence

from openalign.commands.contract import Options, Verb, add_config, add_pipeline
from openalign.commands.named import refuse, run_of
from openalign.commands.output import tell, tell_lines
from openalign.run.stages import STAGES

_SHELLS = ("bash", "zsh", "fish")


# init ---------------------------------------------------------------------------------------------


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pipeline", metavar="NAME", help="what the pipeline is called")
    parser.add_argument(
        "--from-img2dataset",
        required=True,
        metavar="COMMAND",
        help="the command, in quotation marks, with or without the program's name",
    )
    parser.add_argument(
        "--append", action="store_true", help="add it to the settings file and print nothing"
    )
    add_config(parser)


def _init(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.translated import from_img2dataset
    from openalign.telemetry import say

    refuse(beam_options)
    text = from_img2dataset.pipeline_text(options.pipeline, options.from_img2dataset)
    if not options.append:
        tell(text.rstrip("\n"))
        return
    from_img2dataset.append(options.config, options.pipeline, text)
    say(f"{options.pipeline}: added to {options.config}")


# export -------------------------------------------------------------------------------------------


def _add_export(parser: argparse.ArgumentParser) -> None:
    add_pipeline(parser)
    parser.add_argument(
        "--step", type=int, required=True, metavar="N", help="steps that the checkpoint has done"
    )
    parser.add_argument(
        "--output",
        default="",
        metavar="FOLDER",
        help="where the Hugging Face folder goes; in the run's root by default",
    )


def _export(options: Options, beam_options: Sequence[str]) -> None:
    from openalign.run.readiness import require_libraries

    refuse(beam_options)
    run = run_of(options)
    require_libraries(STAGES["train"])
    from openalign.run.verbs.exporting import export

    tell(export(run, step=options.step, output=options.output))


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
        "--port", type=int, default=0, metavar="P", help="the first of three ports; 0 takes any"
    )
    parser.add_argument(
        "--another-day", action="store_true", help="serve the hosts as they are once they are well"
    )


def _hostile_web(options: Options, beam_options: Sequence[str]) -> None:
    from threading import Event

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
        Event().wait()


INIT = Verb(
    name="init",
    title="make a pipeline of a command of img2dataset",
    more=", and print it",
    do=_init,
    arguments=_add_init,
    epilog="docs/coming_from_img2dataset.md says what becomes of each argument.",
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
