"""The closing summary of a run: each stage, its rows, its folder, and the headline."""

from collections.abc import Mapping

from openalign.files import storage
from openalign.files.manifest import MANIFEST, Manifest
from openalign.files.names import DATA_CARD, FETCH_PAGE, HARVEST_PAGE, MODEL_CARD, REPORT_HTML
from openalign.lines import one_line
from openalign.run.contract import Run
from openalign.run.messages import num_files
from openalign.telemetry import say

_NUM_NAMED = 20
"""So many damaged files are named; the manifest names all."""

_PAGES = {
    "harvest": HARVEST_PAGE,
    "fetch": FETCH_PAGE,
    "report": REPORT_HTML,
    "model card": MODEL_CARD,
    "data card": DATA_CARD,
}
"""What people open, by what it is called."""


def show(run: Run, manifests: Mapping[str, Manifest]) -> None:
    """Print the closing summary on stderr."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{run.config.name}: complete", title_justify="left", box=None)
    for heading, justify in (("stage", "left"), ("kept", "right"), ("of", "right"), ("in", "left")):
        table.add_column(heading, justify=justify)  # pyright: ignore[reportArgumentType]
    for name, manifest in manifests.items():
        table.add_row(
            name,
            f"{manifest.num_outputs:,}" if run.stages[name].states else "",
            f"{manifest.num_inputs:,}" if run.stages[name].states else "",
            run.folder(name).url,
        )
    Console(stderr=True).print(table)
    show_findings(run, manifests)


def exit_code(manifests: Mapping[str, Manifest]) -> int:
    """Return 3 where a file of a stage's input was damaged, else 0."""
    return 3 if any(manifest.damaged_files for manifest in manifests.values()) else 0


def show_findings(run: Run, manifests: Mapping[str, Manifest]) -> None:
    """Print on stderr what stages found: an evaluation's headline, where report and cards lie.

    Files that were damaged come first.
    """
    for name, manifest in manifests.items():
        _show_damaged_files(run, name, manifest)
    for manifest in manifests.values():
        for line in manifest.facts.get("headline", []):
            say(line)
    for name, manifest in manifests.items():
        for title, file in _PAGES.items():
            if manifest.names(file):
                say(f"{title}: {storage.join(run.folder(name).url, file)}")


def _show_damaged_files(run: Run, name: str, manifest: Manifest) -> None:
    damaged = manifest.damaged_files
    if not damaged:
        return
    say(f"{name:9} could not read {num_files(len(damaged))} to the end; all else is there:")
    for file in damaged[:_NUM_NAMED]:
        say(f"{'':9} {one_line(f'{file.name}: {file.reason}')}")
    if len(damaged) > _NUM_NAMED:
        more = num_files(len(damaged) - _NUM_NAMED)
        say(f"{'':9} and {more} more: {storage.join(run.folder(name).url, MANIFEST)}")
    say(f"{'':9} once they are whole, --yes makes the result again")
