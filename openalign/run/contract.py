"""What a stage offers, and the records that the runner and the stages hand to each other."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openalign.files import storage
from openalign.files.facts import StageFacts
from openalign.files.manifest import Manifest, StageFolder, StageInputs, StageResult
from openalign.ingest.web.config import WebConfig
from openalign.run.config import PipelineConfig

if TYPE_CHECKING:
    from openalign.engines.jobs import Jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a pipeline, with options that are not settings."""

    config: PipelineConfig
    stages: "Mapping[str, Stage]"
    """The table of stages: `openalign.run.stages.STAGES`."""

    beam_options: Sequence[str] = ()
    replace: bool = False
    """Whether a complete harvest, fetch or training may be made again: `--yes`."""

    def folder(self, stage: str) -> StageFolder:
        """Return where a stage of this run lives."""
        made = self.stages[stage]
        verb = made.name if made.is_verb else "run"
        return StageFolder(self.config.root, made.folder, f"{verb} {self.config.name}")

    def urls(self, stage: str, prefix: str) -> list[str]:
        """Return the URLs of a complete stage's data files that begin with `prefix`."""
        folder = self.folder(stage)
        url = storage.absolute(folder.url)
        return [storage.join(url, name) for name in folder.require().names(prefix)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSetup:
    """What a stage is given in one run."""

    run: Run
    output: str
    """The folder in which the stage makes its result."""

    work: str
    """The folder for files that a rerun resumes from."""

    web: WebConfig | None = None
    """How the web is asked, for a stage that asks it."""

    @property
    def config(self) -> PipelineConfig:
        """The pipeline's settings."""
        return self.run.config


ProgressWords = Callable[[Mapping[str, int], float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankHooks:
    """How a stage is made by several processes, of which rank 0 locks and seals it."""

    is_rank: Callable[[], bool]
    """Whether this process is one of them already."""

    run: Callable[[Run, StageInputs], None]
    """Does the work of one of them."""

    start: Callable[[Run, StageInputs], Manifest]
    """Starts them, waits, and returns what rank 0 has sealed."""

    prepare: Callable[[Run, StageInputs], None] | None = None
    """Makes what they would wait for; None where they wait for nothing."""

    need_beam: bool = False
    """Whether a Beam job makes what they wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage. It has Beam jobs, makes its result in this process, or hands itself to ranks."""

    name: str
    title: str
    """What it does: the help text of its verb."""

    folder: str
    reads: Callable[[PipelineConfig], tuple[str, ...]] = lambda _: ()
    """The stages whose results it reads; those that a pipeline goes without do not count."""

    settings: Callable[[PipelineConfig], Any]
    """The settings that can change a byte of its result."""

    jobs: "Callable[[StageSetup], Jobs] | None" = None
    jobs_again: "Callable[[StageSetup, int, Collection[str]], Jobs] | None" = None
    """Tries rows again that ended in some states, in a round with a number; for a stage whose
    complete result can be added to."""

    progress: "Callable[[StageSetup], ProgressWords] | None" = None
    """Makes a line of what workers have counted so far, and of the seconds since the start; None
    where it says each count and its rate."""

    make: Callable[[StageSetup], StageResult] | None = None
    ranks: RankHooks | None = None
    web: Callable[[PipelineConfig], WebConfig | None] = lambda _: None
    """How it asks the web; None where it does not."""

    outside: Callable[[PipelineConfig], dict[str, str]] = lambda _: {}
    """Fingerprints of what it reads from outside the run, by name."""

    places: Callable[[PipelineConfig], dict[str, str]] = lambda _: {}
    """Where files lie that its result names and does not hold: `Manifest.places`."""

    rows_from: str = ""
    """The stage whose output rows are this stage's input rows; empty if there is none."""

    outputs: str = ""
    """Prefix of the files that hold its outputs, a row each."""

    left_out: Callable[[PipelineConfig], str] = lambda _: ""
    """Why a pipeline goes without it; empty where it does not."""

    is_dear: bool = False
    """Whether a complete result is only replaced with the user's consent."""

    makes_lost_files: bool = False
    """Whether it runs again where a file of its result is gone, or not as long as it was."""

    is_verb: bool = True
    """Whether people can ask for it by name."""

    takes_model: bool = False
    """Whether a model may be named in place of a pipeline: `--model`."""

    takes_data: bool = False
    """Whether data sets may be named beside the model: `--data`."""

    extra: str = ""
    needs: tuple[str, ...] = ()
    """Libraries of `extra`, looked for before anything is written."""

    states: tuple[str, ...] = ()
    """How its rows can end, for a stage of the funnel; the first goes on."""

    shows_all_drops: bool = True
    """Whether the funnel shows states of dropped rows in which no row ended."""

    row_files: str = ""
    """Prefix of files that hold a row each of its inputs; empty if there are none."""

    @property
    def takes_beam_options(self) -> bool:
        """Whether it runs Beam jobs, itself or for its ranks."""
        return self.jobs is not None or (self.ranks is not None and self.ranks.need_beam)

    @property
    def can_be_prepared(self) -> bool:
        """Whether its ranks wait for something that can be made before they start: `--prepare`."""
        return self.ranks is not None and self.ranks.prepare is not None

    @property
    def facts(self) -> StageFacts:
        """The record that rooms below this one get of it."""
        return StageFacts(
            name=self.name,
            title=self.title,
            goes_on=self.states[0] if self.states else "",
            drops=self.states[1:],
            shows_all_drops=self.shows_all_drops,
            row_files=self.row_files,
        )
