"""The closing summary of a run: each stage, its rows, its folder, and the headline."""

from collections.abc import Mapping

from openalign.files import storage
from openalign.files.manifest import Manifest
from openalign.files.names import DATA_CARD, HARVEST_PAGE, MODEL_CARD, REPORT_HTML
from openalign.run.contract import Run
from openalign.telemetry import say

_PAGES = {
    "harvest": HARVEST_PAGE,
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
            f"{manifest.num_outputs:,}",
            f"{manifest.num_inputs:,}",
            run.folder(name).url,
        )
    Console(stderr=True).print(table)
    show_findings(run, manifests)


def show_findings(run: Run, manifests: Mapping[str, Manifest]) -> None:
    """Print on stderr what stages found: an evaluation's headline, where report and cards lie."""
    for manifest in manifests.values():
        for line in manifest.facts.get("headline", []):
            say(line)
    for name, manifest in manifests.items():
        for title, file in _PAGES.items():
            if manifest.names(file):
                say(f"{title}: {storage.join(run.folder(name).url, file)}")
