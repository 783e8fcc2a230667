from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("folder", ["ingest", "filtering", "train", "evaluate"])
def test_the_package_holds_a_relative_link_to_each_folder(folder: str) -> None:
    """Where git checked links out as text files: `git config core.symlinks true`, clone again."""
    link = ROOT / "openalign" / folder

    assert link.is_symlink()
    assert str(link.readlink()) == f"../{folder}"
