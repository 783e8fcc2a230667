"""The closing summary of a run: each stage, its rows, its folder, and the headline."""

from collections.abc import Mapping

from openalign.files import storage
from openalign.files.manifest import Manifest
from openalign.run.stages import Run


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
    console = Console(stderr=True)
    console.print(table)
    for line in manifests["evaluate"].facts["headline"] if "evaluate" in manifests else []:
        console.print(line, highlight=False, markup=False)
    if "report" in manifests:
        report = storage.join(run.folder("report").url, "report.html")
        console.print(f"report: {report}", highlight=False, markup=False, soft_wrap=True)
