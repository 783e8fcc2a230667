"""What ranks tell each other of the software they run."""

from importlib.metadata import version
from pathlib import Path

import pytest

import openalign
from openalign.train.software import _OWN_PARTS, software, sources_digest


def package(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


SOURCES = {"train/a.py": "one", "train/data/b.py": "two", "images/c.py": "", "run/d.py": "three"}


def test_what_makes_pixels_and_kernels_is_among_it() -> None:
    found = software()

    assert found["simplejpeg"] == version("simplejpeg")
    assert {"Python", "CUDA", "cuDNN", "torch", "triton", "tokenizers", "pillow"} <= set(found)
    assert all(isinstance(value, str) for value in found.values())
    own = Path(openalign.__file__).parent
    assert found["the sources of OpenALIGN"] == sources_digest(own)
    assert all((own / part).is_dir() for part in _OWN_PARTS)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"train/data/b.py": "2"}, id="another byte"),
        pytest.param({"files/new.py": ""}, id="a further file"),
        pytest.param({"read_ahead.py": "1"}, id="a file at the top"),
        pytest.param({"train/a.py": "", "images/c.py": "one"}, id="a part that moved"),
    ],
)
def test_other_sources_have_another_digest(tmp_path: Path, changes: dict[str, str]) -> None:
    first = package(tmp_path / "first", SOURCES)
    other = package(tmp_path / "other", SOURCES | changes)

    assert sources_digest(other) != sources_digest(first)


def test_what_no_rank_runs_and_where_it_lies_change_no_digest(tmp_path: Path) -> None:
    """`train` is a link in a checkout, and a folder where a wheel is installed."""
    first = package(tmp_path / "first", SOURCES)
    other = package(tmp_path / "other", SOURCES | {"run/d.py": "3", "train/a.pyc": "compiled"})
    (other / "train" / ".#a.py").symlink_to("somebody@example.12345")  # an editor's lock
    (other / "train").rename(tmp_path / "top")
    (other / "train").symlink_to(tmp_path / "top")

    assert sources_digest(other) == sources_digest(first)
