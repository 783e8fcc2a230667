"""The runs that `openalign compare` names, and where its page goes.

A run is named by its pipeline, or by its root. Of a root nothing is read but the complete result of
`evaluate`, so a copy of that folder alone, such as a CI job keeps, can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from openalign.errors import ConfigError, InputError
from openalign.evaluate.compare import page
from openalign.evaluate.compare.differences import compare
from openalign.evaluate.compare.evaluation import Evaluation, read_evaluation
from openalign.evaluate.compare.records import Comparison
from openalign.files import storage
from openalign.files.manifest import StageFolder
from openalign.files.names import COMPARE_FOLDER, COMPARE_HTML
from openalign.run.config import load_pipeline
from openalign.run.settings_files import root_called
from openalign.run.translated import from_flags
from openalign.train.saved_files import CONFIG_FILE

_EVALUATE = "evaluate"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRun:
    """A run as a command names it."""

    name: str
    root: str
    named: str
    """What was typed."""


def compare_runs(
    named: Sequence[str],
    *,
    settings_file: str,
    output: str | None,
    confidence: float | None,
    patterns: Sequence[str],
) -> tuple[Comparison, str]:
    """Compare runs with the first of them; return what was found and the URL of the page.

    Raises:
        ConfigError: no pipeline is called so, or an option is wrong.
        StageError: a run has no complete evaluation.
        InputError: a run is named twice, cannot be read, or cannot be compared with the first.
    """
    runs = _distinct([_named_run(each, settings_file) for each in named])
    base, *others = [_read(run) for run in runs]
    comparison = compare(base, others, confidence=confidence, patterns=patterns)
    folder = output or storage.join(runs[1].root, COMPARE_FOLDER)
    storage.check_writable(folder)
    page.write(comparison, folder)
    return comparison, storage.join(folder, COMPARE_HTML)


def _named_run(named: str, settings_file: str) -> NamedRun:
    root = named.rstrip("/") or "/" if "/" in named else root_called(named, settings_file)
    if root is None:
        try:
            root = load_pipeline(settings_file, named, []).root
        except ConfigError:
            _refuse_model(named)
            raise
        return NamedRun(name=named, root=root, named=named)
    name = storage.absolute(root).rpartition("/")[2] or root
    return NamedRun(name=name, root=root, named=named)


def _refuse_model(folder: str) -> None:
    """Say what to type before a model can be compared, where it is the folder of one.

    Raises:
        InputError: it is.
    """
    if not storage.exists(storage.join(folder, CONFIG_FILE)):
        return
    root = from_flags.root_of(folder, [])
    command = f"openalign evaluate --model {folder} --data NAME=PATH"
    raise InputError(
        f"{folder} is the folder of a model, and runs are compared: what was measured on models",
        hint=f"measure it first: {command}; then name its run, {root}",
    )


def _distinct(runs: Sequence[NamedRun]) -> list[NamedRun]:
    """Return runs with names that differ; those of one name get numbers.

    Raises:
        InputError: a run is there twice.
    """
    roots = [storage.absolute(run.root) for run in runs]
    for number, run in enumerate(runs):
        if roots[number] in roots[:number]:
            raise InputError(
                f"{run.root} is named twice",
                hint="name the baseline, then the runs that are compared with it",
            )
    names = [run.name for run in runs]
    return [
        run
        if names.count(run.name) == 1
        else replace(run, name=f"{run.name} ({names[:number].count(run.name) + 1})")
        for number, run in enumerate(runs)
    ]


def _read(run: NamedRun) -> Evaluation:
    storage.check_reachable(run.root)
    folder = StageFolder(run.root, _EVALUATE, f"evaluate {run.named}")
    if folder.read() is None:
        _refuse_model(run.root)
    return read_evaluation(run.name, folder)
