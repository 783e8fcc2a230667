"""Names that a folder is found to hold, beside those that are asked for."""

import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from openalign.files.found_names import otherwise_composed


@pytest.mark.parametrize(("there", "asked"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_that_is_composed_otherwise_is_found(
    tmp_path: Path, there: Literal["NFC", "NFD"], asked: Literal["NFC", "NFD"]
) -> None:
    folder = tmp_path / unicodedata.normalize(there, "café")
    folder.mkdir()
    (folder / "a.png").touch()
    wanted = f"{tmp_path}/{unicodedata.normalize(asked, 'café')}"

    assert otherwise_composed([f"{wanted}/b.png", f"{wanted}/a.png"]).startswith(
        f"{folder}/a.png is there"
    )


def test_a_name_too_long_for_a_file_is_none(tmp_path: Path) -> None:
    assert otherwise_composed([f"{tmp_path}/{140 * 'é'}.jpg"]) == ""
