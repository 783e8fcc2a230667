from dataclasses import replace
from pathlib import Path

import pytest

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.manifest import (
    CLEARED,
    COMPLETE,
    DataFile,
    StageFolder,
    StageInputs,
    StageResult,
)

SETTINGS: dict[str, object] = {"settings": {"min_count": 2}}
INPUTS = {"harvest": "abc"}


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StageFolder:
    root = str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"
    return StageFolder(root, "filtered")


def make(folder: StageFolder, content: str, settings: dict[str, object] = SETTINGS) -> StageResult:
    partial = folder.partial_url(StageInputs(settings=settings, contents=INPUTS).fingerprint)
    written = storage.write_text(f"{partial}/kept.txt", content)
    storage.write_text(storage.join(partial, "work", "scratch"), "gone when the stage ends")
    entry = DataFile(
        name="kept.txt", num_rows=1, num_bytes=written.num_bytes, sha256=written.sha256
    )
    return StageResult(num_inputs=3, states={"kept": 1, "dropped": 2}, num_outputs=1, files=[entry])


def test_a_sealed_stage_is_read_back_whole(folder: StageFolder) -> None:
    sealed = folder.seal(make(folder, "a"), StageInputs(settings=SETTINGS, contents=INPUTS))

    assert folder.read() == sealed
    assert sealed.states == {"dropped": 2, "kept": 1}
    assert storage.list_files(folder.root) == [
        f"filtered/{name}" for name in (COMPLETE, "kept.txt", "manifest.json")
    ]


def test_what_a_killed_writer_left_is_not_sealed(folder: StageFolder) -> None:
    result = make(folder, "a")
    partial = folder.partial_url(StageInputs(settings=SETTINGS, contents=INPUTS).fingerprint)
    storage.write_text(f"{partial}/.tmp-abc", "half a file")
    storage.write_text(f"{partial}/deep/.tmp-abc", "half a file")

    folder.seal(result, StageInputs(settings=SETTINGS, contents=INPUTS))

    names = [name for name in storage.list_files(folder.url) if ".tmp-" in name]
    assert names == []


def test_a_new_result_takes_the_old_ones_place_and_nothing_else_stays(folder: StageFolder) -> None:
    folder.seal(make(folder, "old"), StageInputs(settings=SETTINGS, contents=INPUTS))
    other: dict[str, object] = {"settings": {"min_count": 3}}

    folder.seal(make(folder, "new", other), StageInputs(settings=other, contents=INPUTS))

    assert storage.read_text(f"{folder.url}/kept.txt") == "new"
    assert storage.list_names(folder.root) == ["filtered"]


def test_rows_that_are_not_accounted_for_are_our_own_mistake(folder: StageFolder) -> None:
    result = StageResult(num_inputs=4, states={"kept": 3}, num_outputs=3, files=[])

    with pytest.raises(AssertionError, match="4 rows came in, 3 were accounted for"):
        folder.seal(result, StageInputs(settings=SETTINGS, contents=INPUTS))


def test_a_stage_without_its_marker_is_not_complete(folder: StageFolder) -> None:
    folder.seal(make(folder, "a"), StageInputs(settings=SETTINGS, contents=INPUTS))
    storage.remove(f"{folder.url}/{COMPLETE}")

    folder.finish_swap()  # there is none to finish

    assert folder.read() is None
    with pytest.raises(StageError, match="is not complete"):
        folder.require()


def test_a_manifest_that_was_edited_is_refused(folder: StageFolder) -> None:
    sealed = folder.seal(make(folder, "a"), StageInputs(settings=SETTINGS, contents=INPUTS))
    text = storage.read_text(f"{folder.url}/manifest.json")
    storage.write_text(f"{folder.url}/manifest.json", text.replace(sealed.fingerprint, "0" * 64))

    folder.finish_swap()

    with pytest.raises(StageError, match="was changed after the stage ended"):
        folder.read()


def test_a_file_that_is_not_what_was_written_is_our_own_mistake(folder: StageFolder) -> None:
    result = make(folder, "a")
    partial = folder.partial_url(StageInputs(settings=SETTINGS, contents=INPUTS).fingerprint)
    storage.write_text(f"{partial}/kept.txt", "longer")

    with pytest.raises(AssertionError, match=r"kept\.txt is not the file that was written"):
        folder.seal(result, StageInputs(settings=SETTINGS, contents=INPUTS))


@pytest.mark.parametrize("step", range(1, 8))
def test_a_swap_that_is_cut_short_anywhere_is_completed_later(
    folder: StageFolder, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every change to storage is one step; the process dies before step `step`."""
    folder.seal(make(folder, "old"), StageInputs(settings=SETTINGS, contents=INPUTS))
    other: dict[str, object] = {"settings": {"min_count": 3}}
    result = make(folder, "new", other)
    taken = 0

    def dying(function: object) -> object:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal taken
            taken += 1
            if taken == step:
                raise KeyboardInterrupt
            return function(*args, **kwargs)  # type: ignore[operator]

        return call

    with monkeypatch.context() as patch:
        for name in ("remove", "move", "write_text"):
            patch.setattr(storage, name, dying(getattr(storage, name)))
        with pytest.raises(KeyboardInterrupt):
            folder.seal(result, StageInputs(settings=other, contents=INPUTS))

    folder.finish_swap()

    manifest = folder.read()
    assert manifest is not None
    ended = "old" if step == 1 else "new"  # step 1 writes the new manifest
    assert storage.read_text(f"{folder.url}/kept.txt") == ended
    assert manifest.settings == (SETTINGS if ended == "old" else other)


def test_a_marker_that_was_being_written_leaves_nothing(folder: StageFolder) -> None:
    """The process died between the file's beginning and its name."""
    manifest = folder.seal(make(folder, "new"), StageInputs(settings=SETTINGS, contents=INPUTS))
    names = storage.list_files(folder.url)
    storage.remove(f"{folder.url}/{COMPLETE}")
    storage.write_text(f"{folder.url}/{CLEARED}", "")
    storage.write_text(f"{folder.url}/.tmp-half", "f")

    folder.finish_swap()

    assert folder.read() == manifest
    assert storage.list_files(folder.url) == names


def test_content_fingerprints_follow_the_data_and_nothing_else() -> None:
    def fingerprint(*files: DataFile) -> str:
        folder = StageFolder(f"memory://content-{len(files)}-{files[0].sha256}", "x")
        storage.write_text(
            f"{folder.partial_url(StageInputs(settings={}, contents={}).fingerprint)}/a", "x"
        )
        result = StageResult(num_inputs=0, states={}, num_outputs=0, files=files)
        return folder.seal(result, StageInputs(settings={}, contents={})).content_fingerprint()

    one = DataFile(name="a", num_rows=1, num_bytes=1, sha256="1")
    two = DataFile(name="a", num_rows=1, num_bytes=1, sha256="2")

    assert fingerprint(one) == fingerprint(one)
    assert fingerprint(one) != fingerprint(two)


def test_a_file_takes_the_place_of_one_that_had_its_name(folder: StageFolder) -> None:
    sealed = folder.seal(make(folder, "a"), StageInputs(settings=SETTINGS, contents=INPUTS))
    new = DataFile(name=sealed.files[0].name, num_rows=1, num_bytes=1, sha256="new")
    first = DataFile(name="a-first", num_rows=1, num_bytes=1, sha256="first")

    changed = sealed.with_file(new).with_file(first)

    assert changed.files == [first, new, *sealed.files[1:]]


def test_a_run_killed_while_it_seals_keeps_what_a_rerun_goes_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StageFolder(str(tmp_path), "candidates")
    inputs = StageInputs(settings=SETTINGS, contents=INPUTS)
    result = make(folder, "a")
    work = Path(folder.partial_url(inputs.fingerprint)) / "work"
    work.mkdir(exist_ok=True)
    (work / "counts.done").write_text("")

    def killed(url: str, text: str) -> storage.Written:
        raise KeyboardInterrupt(url, text)

    monkeypatch.setattr(storage, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.seal(result, inputs)
    monkeypatch.undo()

    assert (work / "counts.done").exists()
    assert folder.seal(result, inputs) == folder.require()
    assert not (tmp_path / "candidates" / "work").exists()


@pytest.mark.parametrize("content", [b'{"stage": 3}', b'{"stage": "\xff"}', b"{"])
def test_a_manifest_of_another_form_is_an_error_with_its_name(
    tmp_path: Path, content: bytes
) -> None:
    folder = StageFolder(str(tmp_path), "candidates")
    folder.seal(make(folder, "a"), StageInputs(settings=SETTINGS, contents=INPUTS))
    (tmp_path / "candidates" / "manifest.json").write_bytes(content)

    with pytest.raises(StageError, match=r"candidates/manifest\.json is not the manifest"):
        folder.read()


@pytest.mark.parametrize("name", ["harvest.html", "fetch.html"])
def test_a_page_for_people_is_no_content(folder: StageFolder, name: str) -> None:
    inputs = StageInputs(settings=SETTINGS, contents=INPUTS)
    without = folder.seal(make(folder, "a"), inputs).content_fingerprint()
    result = make(folder, "a")
    url = storage.join(folder.partial_url(inputs.fingerprint), name)
    page = DataFile.of(name, storage.write_text(url, "<h1>A page"), num_rows=1)

    sealed = folder.seal(replace(result, files=[*result.files, page]), inputs)

    assert sealed.names(name) == [name]
    assert sealed.content_fingerprint() == without
