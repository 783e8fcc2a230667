"""A model, a benchmark and no settings: what tests of flags say, and what they hear."""

import pytest

from openalign import cli
from openalign.files.manifest import Manifest, StageFolder

EVALUATE = ("evaluate", "--model", "tiny-align", "--data", "flickr30k=squares/dataset.json")


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """Run a command and return what it said on stderr."""
    capsys.readouterr()
    assert cli.main(words) == code
    return capsys.readouterr().err


def evaluated(root: str = "runs/tiny-align") -> Manifest:
    return StageFolder(root, "evaluate").require()
