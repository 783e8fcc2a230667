"""The report on several runs: which they are, and where it goes. Checked before it is written."""

from collections.abc import Sequence

from openalign.errors import ConfigError, StageError
from openalign.files import storage
from openalign.files.manifest import StageFolder
from openalign.files.names import REPORT_HTML, RESULTS_FILE
from openalign.run.config import PipelineConfig
from openalign.telemetry import say

_COMMAND = "openalign report RUN RUN --output FOLDER"


def write(configs: Sequence[PipelineConfig], output: str) -> None:
    """Write one report on the runs of several pipelines; nothing is made up to date.

    Raises:
        ConfigError: no output is named, it holds other files, or two runs have one name.
        StageError: a run has no complete results.
        InputError: its results cannot be read.
    """
    if not output:
        raise ConfigError(
            "a report on several runs lies in none of them", hint=f"say where: {_COMMAND}"
        )
    names = [config.name.rpartition("/")[2] for config in configs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"two runs are called `{twice[0]}`, so their rows could not be told apart",
            hint="name each run once, and give runs of other roots other folder names",
        )
    folders = [
        StageFolder(config.root, "evaluate", f"evaluate {config.name}") for config in configs
    ]
    for folder in folders:
        folder.require()
    from openalign.evaluate import results
    from openalign.evaluate.report import several
    from openalign.evaluate.tables.origins import EvaluatedRun

    runs = [
        EvaluatedRun(name=name, results=results.read(storage.join(folder.url, RESULTS_FILE)))
        for name, folder in zip(names, folders, strict=True)
    ]
    _require_own_folder(output, several.WRITTEN)
    _require_writable(output)
    several.write(runs, output)
    say(f"report: {storage.join(output, REPORT_HTML)}")


def _require_writable(output: str) -> None:
    try:
        storage.check_writable(output)
    except StageError as error:
        raise ConfigError(f"--output {error}", hint="name another folder") from error


def _require_own_folder(output: str, written: frozenset[str]) -> None:
    """See that nothing is in a folder but an earlier report of this sort."""
    storage.check_reachable(output)
    if not storage.exists(output):
        return
    if not storage.is_folder(output):
        raise ConfigError(f"--output {output} is a file", hint="name a folder")
    folders, files = storage.list_folder(output)
    others = sorted({*folders, *files} - written)
    if others:
        raise ConfigError(
            f"--output {output} holds other files, such as {others[0]}",
            hint="name a folder of the report's own",
        )
