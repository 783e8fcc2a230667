from pathlib import Path

import pytest

from openalign.files import storage
from openalign.files.manifest import DataFile, StageFolder, StageInputs, StageResult
from openalign.files.sealed import SealedFiles, lost_files

INPUTS = StageInputs(settings={}, contents={})


@pytest.mark.parametrize(
    ("content", "is_lost", "is_whole"),
    [
        pytest.param(b"abcd", False, True, id="as it was"),
        pytest.param(b"ab\0\0", False, False, id="zeros"),
        pytest.param(b"ab", True, False, id="shorter"),
        pytest.param(b"abcd\0", True, False, id="longer"),
        pytest.param(None, True, False, id="gone"),
    ],
)
@pytest.mark.parametrize("root", ["local", "memory://sealed"])
def test_a_file_is_compared_with_what_was_written(
    root: str, content: bytes | None, tmp_path: Path, *, is_lost: bool, is_whole: bool
) -> None:
    folder = StageFolder(str(tmp_path) if root == "local" else f"{root}/{tmp_path.name}", "stage")
    written = storage.write_bytes(f"{folder.partial_url(INPUTS.fingerprint)}/deep/a", b"abcd")
    files = [DataFile.of("deep/a", written, num_rows=1)]
    result = StageResult(num_inputs=1, states={"kept": 1}, num_outputs=1, files=files)
    manifest = folder.seal(result, INPUTS)
    url = storage.join(folder.url, "deep/a")
    storage.remove(url)
    if content is not None:
        storage.write_bytes(url, content)

    assert lost_files(folder, manifest) == (["deep/a"] if is_lost else [])
    assert SealedFiles(folder.url, manifest.files).is_whole("deep/a") is is_whole
    assert not SealedFiles(folder.url, []).is_whole("deep/a")
