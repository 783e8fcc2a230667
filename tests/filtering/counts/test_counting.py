"""The sets that workers look things up in."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from openalign.files import storage
from openalign.filtering.counts.counting import open_set


@pytest.mark.parametrize("values", [[], [2, 3, 2**64 - 1]], ids=["empty", "filled"])
def test_of_a_remote_set_no_file_is_left_while_it_is_in_use(
    values: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://{tmp_path.name}/ngrams.u64"
    storage.write_bytes(url, np.array(values, "<u8").tobytes())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with open_set(url) as found:
        assert list(tmp_path.iterdir()) == []
        assert found.tolist() == values


def test_a_local_set_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ngrams.u64"
    path.write_bytes(np.array([5, 6], "<u8").tobytes())

    with open_set(str(path)) as found:
        assert isinstance(found, np.memmap)
        assert found.tolist() == [5, 6]
    assert path.exists()
