import shutil
from pathlib import Path

import pytest
from saved_align import save_align


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder, to be read."""
    folder = tmp_path_factory.mktemp("saved")
    save_align(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(saved, tmp_path / "model")
