"""A small pipeline from a table of pairs to a training manifest, on images of its own site."""

import csv
import io
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import clean_environment as environments
from PIL import Image

from openalign import cli
from openalign.demo import server as site_server
from openalign.run.stages import STAGES

HOSTS = ("pictures.example", "other.example")
VERBS = ("harvest", "filter", "fetch", "select")

_PIPELINES = """\
pairs:
  description: "a table of pairs"
  root: {folder}/run
  web: &web
    contact: "test@example.org"
    requests_per_second: 10000.0
    allowed_networks: ["127.0.0.0/8"]
  harvest:
    source: {{kind: table, path: "{folder}/pairs-*.csv"}}
    num_files: 2
  filter:
    text: {{frequent: {{kind: min_count, at_least: 1}}}}
    count_buckets: 4
  fetch:
    size_px: 210
    images_per_shard: 8
    num_buckets: 3
    reject_on_header: false
  select:
    num_files: 2
    count_buckets: 4
crawl:
  description: "a site"
  root: {folder}/crawl
  web: *web
  harvest:
    source: {{kind: site, seeds: ["http://{host}/"]}}
"""


def write(folder: Path) -> Path:
    """Write the site, two tables that name its images, and pipelines.yaml; return the last."""
    (folder / "www").mkdir()
    for number in range(20):
        sink = io.BytesIO()
        size = (205 + number, 220) if number % 5 else (150, 220)  # every fifth is too small
        Image.new("RGB", size, (number * 12, 255 - number * 12, 99)).save(sink, "PNG")
        (folder / "www" / f"{number}.png").write_bytes(sink.getvalue())
    for part in range(2):
        rows = [
            (f"http://{HOSTS[part]}/{number}.png", f"picture number {number} of {part + 1}")
            for number in range(24)  # the last four are not there
        ]
        with (folder / f"pairs-{part}.csv").open("w", newline="") as sink:
            csv.writer(sink).writerows([("url", "caption"), *rows, (rows[0][0], "short")])
    path = folder / "pipelines.yaml"
    path.write_text(_PIPELINES.format(folder=folder, host=HOSTS[0]))
    return path


def run_here(config: Path, verb: str, *beam_options: str, settings: Sequence[str] = ()) -> int:
    """Run a verb in this process and return its exit code."""
    return cli.main(_arguments(config, verb, settings, beam_options))


def run_there(
    python: Path, config: Path, verb: str, *beam_options: str, settings: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run a verb with the command of another environment, away from this repository."""
    command = str(python.with_name("openalign"))
    return subprocess.run(
        [command, *_arguments(config, verb, settings, beam_options)],
        cwd=python.parent,
        env=environments.environment(python),
        capture_output=True,
        text=True,
        check=False,
    )


def _arguments(
    config: Path, verb: str, settings: Sequence[str], beam_options: Sequence[str]
) -> list[str]:
    changes = [word for setting in settings for word in ("--set", setting)]
    beam = ["--", *beam_options] if beam_options else []
    return [verb, "pairs", "--config", str(config), *changes, *beam]


@contextmanager
def site_served(config: Path) -> Generator[str]:
    """Serve the site while the block runs; yield the setting that reaches it by public names."""
    with site_server.serve(str(config.parent / "www"), host=HOSTS[0]) as connect_to:
        places = ", ".join(f"{host}: '{connect_to[HOSTS[0]]}'" for host in HOSTS)
        yield f"web.connect_to={{{places}}}"


def content(root: Path) -> dict[str, bytes]:
    """Return every file of the data stages' results."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for verb in VERBS
        for path in sorted((root / STAGES[verb].folder).rglob("*"))
        if path.is_file()
    }
