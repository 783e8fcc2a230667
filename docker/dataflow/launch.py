"""What the Dataflow flex template starts: a job of one element, whose worker runs `openalign`.

The template service runs this program for the job that it describes, and wants it to end before
the job starts. A stage is more than a job: it looks at what is there, may run two jobs, one made
from the result of the other, and seals what they wrote. So the job described here only drives: its
one worker runs the ordinary command, which submits the stage's own jobs and waits for them.
"""

import argparse
import collections
import logging
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from openalign.files import storage

VERBS = ("harvest", "filter", "fetch", "select")

_OF_THE_DRIVER = ("--template_location=", "--job_name=")
"""What belongs to the job that drives, not to the jobs of the stage."""

_ONE_WORKER = ("--num_workers=1", "--max_num_workers=1")


def main(argv: Sequence[str]) -> None:
    """Describe the job that drives one stage, and submit it."""
    stage, flags = _parser().parse_known_args(argv)
    # Beam takes the last of two values of a flag.
    driver = beam.Pipeline(options=PipelineOptions([*flags, *_ONE_WORKER]))
    _ = driver | beam.Create([stage.config]) | beam.Map(drive, command(stage, flags))
    driver.run()


def _parser() -> argparse.ArgumentParser:
    """Return the template's own parameters; every other flag is Beam's."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--verb", choices=VERBS, required=True)
    parser.add_argument("--pipeline", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--settings", default="")
    return parser


def command(stage: argparse.Namespace, flags: Sequence[str]) -> list[str]:
    """Return what `openalign` is called with, `--config` left out."""
    job_name = next((f for f in flags if f.startswith("--job_name=")), "--job_name=openalign")
    settings = [f"root={stage.root}", *shlex.split(stage.settings)]
    return [
        stage.verb,
        stage.pipeline,
        *(word for setting in settings for word in ("--set", setting)),
        "--",
        *(flag for flag in flags if not flag.startswith(_OF_THE_DRIVER)),
        f"{job_name}-{stage.verb}",  # a second job of the driver's name would be taken for it
    ]


def drive(config: str, arguments: Sequence[str]) -> None:
    """Run the command to its end, with the settings file from wherever it lies.

    Raises:
        RuntimeError: it failed; with its last lines.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "pipelines.yaml")
        settings.write_text(storage.read_text(config), encoding="utf-8")
        split = arguments.index("--")
        words = [*arguments[:split], "--config", str(settings), *arguments[split:]]
        with subprocess.Popen(  # noqa: S603  # our own command line
            [sys.executable, "-m", "openalign", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running:
            assert running.stdout is not None
            last: collections.deque[str] = collections.deque(maxlen=20)
            for line in running.stdout:
                logging.getLogger("openalign").info("%s", line.rstrip())
                last.append(line)
    if running.returncode:
        raise RuntimeError(f"openalign {shlex.join(words)} failed\n{''.join(last)}")


if __name__ == "__main__":
    main(sys.argv[1:])
