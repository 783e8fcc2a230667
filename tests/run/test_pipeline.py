"""How stages are run, on the two that need neither a network nor a model: harvest and filter."""

import dataclasses
import importlib.util
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openalign import cli
from openalign.engines.jobs import EndedJob, Jobs
from openalign.errors import ConfigError, InputError, MissingExtraError, StageError
from openalign.files import storage
from openalign.files.locks import locked
from openalign.files.manifest import DataFile, Manifest, StageFolder, StageInputs, StageResult
from openalign.run import runner
from openalign.run.config import load_pipeline
from openalign.run.contract import Run
from openalign.run.lineage import read_inputs
from openalign.run.runner import run_all
from openalign.run.stages import STAGES, stage_names
from openalign.settings.fields import identity

PIPELINES = """\
pairs:
  description: "a table of pairs"
  root: ROOT
  harvest:
    source: {kind: table, path: "TABLE"}
    num_files: 1
  filter:
    text: {frequent: {kind: min_count, at_least: 1}}
  web: {contact: "https://example.org"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_table(tmp_path, ["a red apple", "a green pear", "plum"])
    text = PIPELINES.replace("ROOT", str(tmp_path / "run")).replace(
        "TABLE", str(tmp_path / "*.parquet")
    )
    (tmp_path / "pipelines.yaml").write_text(text)
    return tmp_path


def write_table(folder: Path, captions: list[str]) -> None:
    urls = [f"https://example.org/{n}.jpg" for n in range(len(captions))]
    texts = {"url": pa.array(urls, pa.string()), "caption": pa.array(captions, pa.string())}
    pq.write_table(pa.table(texts), folder / "pairs.parquet")


def run(folder: Path, *overrides: str, replace: bool = False) -> Run:
    config = load_pipeline(str(folder / "pipelines.yaml"), "pairs", overrides)
    return Run(stages=STAGES, config=config, replace=replace)


def run_stage(run: Run, name: str) -> Manifest:
    manifest = runner.run_stage(run, name)
    assert manifest is not None  # this process is no rank
    return manifest


def both(folder: Path, *overrides: str, replace: bool = False) -> Manifest:
    run_stage(run(folder, *overrides, replace=replace), "harvest")
    return run_stage(run(folder, *overrides), "filter")


def test_a_stage_is_run_once_and_then_up_to_date(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = both(folder)
    before = {p: p.stat().st_mtime_ns for p in (folder / "run").rglob("*.parquet")}
    capsys.readouterr()

    second = both(folder)

    assert (first.num_inputs, first.num_outputs) == (3, 2)  # `plum` is one word
    assert second == first
    assert capsys.readouterr().err.count("up to date") == 2
    assert before == {p: p.stat().st_mtime_ns for p in (folder / "run").rglob("*.parquet")}


def test_a_stage_whose_input_changed_runs_again_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both(folder)
    write_table(folder, ["a red apple", "a blue plum in color"])
    capsys.readouterr()

    assert both(folder, replace=True).num_inputs == 2

    said = capsys.readouterr().err
    assert "harvest   runs again, because this changed: the content of `table`" in said
    assert "filter    runs again, because this changed: the result of `harvest`" in said


def test_a_complete_harvest_is_never_replaced_unasked(folder: Path) -> None:
    both(folder)
    before = run(folder).folder("harvest").require()

    with pytest.raises(StageError, match=r"is complete, and would be made again") as caught:
        both(folder, "harvest.num_files=2")

    assert "num_files: 1 -> 2" in str(caught.value)
    assert re.search(r"harvest has 3 of 3 rows in 0\.0 MB, which took \d+ s\.", str(caught.value))
    assert str(caught.value.hint).startswith("--yes makes it again")
    assert run(folder).folder("harvest").require() == before
    assert both(folder, "harvest.num_files=2", replace=True).num_inputs == 3


def make_fetch_complete(folder: Path) -> None:
    """Seal a fetch of two images, as if they had been downloaded."""
    asked = run(folder)
    seal(asked, "fetch", "ledger-00000-00000.parquet", read_inputs(asked, STAGES["fetch"]))


def seal(run: Run, name: str, file: str, inputs: StageInputs) -> None:
    """Seal a stage of two rows in one file."""
    stage = run.folder(name)
    written = storage.write_text(f"{stage.partial_url(inputs.fingerprint)}/{file}", "rows")
    result = StageResult(
        num_inputs=2,
        states={"fetched": 2},
        num_outputs=2,
        files=[DataFile.of(file, written, num_rows=2)],
    )
    stage.seal(result, inputs)


def test_a_run_asks_before_it_replaces_what_a_costly_result_was_made_of(folder: Path) -> None:
    both(folder)
    make_fetch_complete(folder)
    kept = run(folder).folder("filter").require()

    with pytest.raises(StageError, match="Nothing was changed yet") as caught:
        run_all(run(folder, "filter.text.min_unigrams=1"))

    assert "filter has other settings (text.min_unigrams: 3 -> 1)" in str(caught.value)
    assert "fetch has 2 of 2 rows in 0.0 MB." in str(caught.value)
    assert run(folder).folder("filter").require() == kept


def test_a_complete_fetch_is_never_replaced_unasked(folder: Path) -> None:
    both(folder)
    make_fetch_complete(folder)

    with pytest.raises(StageError, match="is complete, and would be made again"):
        run_stage(run(folder, "fetch.size_px=200"), "fetch")

    assert run(folder).folder("fetch").require().num_outputs == 2


def test_a_stage_that_the_pipeline_goes_without_says_why(folder: Path) -> None:
    with pytest.raises(StageError, match=r"evaluate has nothing to do: the pipeline names no task"):
        run_stage(run(folder), "evaluate")


def test_a_filter_is_made_again_without_being_asked(folder: Path) -> None:
    both(folder)

    assert both(folder, "filter.text.min_unigrams=1").num_outputs == 3


def test_an_input_that_only_moved_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both(folder)
    (folder / "elsewhere").mkdir()
    (folder / "pairs.parquet").rename(folder / "elsewhere" / "pairs.parquet")
    capsys.readouterr()

    both(folder, f"harvest.source.path={folder}/elsewhere/pairs.parquet")

    assert capsys.readouterr().err.count("up to date") == 2


def test_a_run_lives_under_any_url(folder: Path) -> None:
    local = both(folder)

    assert both(folder, f"root=memory://{folder.name}") == local


def test_a_root_that_cannot_be_written_is_an_error_before_anything_else(folder: Path) -> None:
    (folder / "file").touch()

    with pytest.raises(StageError, match="cannot be written"):
        run_stage(run(folder, f"root={folder}/file/run"), "harvest")

    assert (folder / "file").read_bytes() == b""


def test_a_stage_that_keeps_nothing_shows_the_funnel_and_keeps_the_rejects(folder: Path) -> None:
    settings = "filter.text={min_unigrams: 9, frequent: {kind: min_count, at_least: 1}}"

    for _ in range(2):  # asked again, it answers again, without running again
        with pytest.raises(StageError, match="filter left nothing") as caught:
            both(folder, settings)
        assert "too_few_unigrams" in str(caught.value)
    assert storage.list_files(
        str(folder / "run" / "filtered"), suffix="rejected-00000-of-00001.parquet"
    )


def test_a_stage_that_found_nothing_on_the_web_can_be_tried_again(folder: Path) -> None:
    write_table(folder, [])

    with pytest.raises(StageError, match="harvest found nothing to hand on: nothing was there"):
        run_stage(run(folder), "harvest")
    assert storage.list_files(str(folder / "run")) == [".lock-candidates"]

    write_table(folder, ["a red apple"])
    assert run_stage(run(folder), "harvest").num_outputs == 1


def test_two_runs_do_not_work_on_one_stage(folder: Path) -> None:
    lock = str(folder / "run" / ".lock-candidates")

    with (
        locked(lock, busy="mine"),
        pytest.raises(StageError, match=r"another run is at work on .*/run/candidates"),
    ):
        run_stage(run(folder), "harvest")

    assert run_stage(run(folder), "harvest").num_outputs == 3


@pytest.mark.parametrize("missing", ["none.parquet", "elsewhere/*.parquet"])
def test_a_table_that_is_not_there_is_an_error_with_its_name(folder: Path, missing: str) -> None:
    with pytest.raises(InputError, match=missing.replace("*", r"\*").replace(".", r"\.")):
        run_stage(run(folder, f"harvest.source.path={folder}/{missing}"), "harvest")


def test_a_threshold_on_alt_texts_does_not_fetch_again(folder: Path) -> None:
    def fetch_settings(*overrides: str) -> object:
        return identity(STAGES["fetch"].settings(run(folder, *overrides).config))

    assert fetch_settings("select.image.max_alt_texts=9") == fetch_settings()
    assert fetch_settings("select.image.short_side_above_px=9") != fetch_settings()


def test_rows_that_a_stage_lost_are_our_own_mistake(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from openalign.filtering import text_filter

    run_stage(run(folder), "harvest")
    honest = text_filter.jobs

    def losing(*args: Any, **kwargs: Any) -> Jobs:
        declared = honest(*args, **kwargs)

        def collect(*ended: EndedJob) -> StageResult:
            result = declared.collect(*ended)
            states = {**result.states, "kept": result.states["kept"] - 1}
            return dataclasses.replace(result, num_inputs=result.num_inputs - 1, states=states)

        return dataclasses.replace(declared, collect=collect)

    monkeypatch.setattr(text_filter, "jobs", losing)

    with pytest.raises(AssertionError, match="filter was given 3 rows, saw 2"):
        run_stage(run(folder), "filter")


def test_nothing_is_built_on_an_empty_result(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        with pytest.raises(StageError, match="filter left nothing"):
            both(folder, "filter.text={min_unigrams: 9, frequent: {kind: min_count, at_least: 1}}")
    assert "filter    up to date" not in capsys.readouterr().err

    with pytest.raises(StageError, match="filter left nothing"):
        run_stage(run(folder, "web.contact=a@example.org"), "fetch")


def test_a_run_that_could_not_fetch_does_not_start(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"`web\.contact` must be set") as refused:
        run_all(run(folder, "web.contact=''"))

    assert "--set web.contact=crawler@example.org" in (refused.value.hint or "")
    assert not (folder / "run").exists()


def test_workers_get_paths_that_do_not_depend_on_their_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    relative = run(folder, "root=here")
    run_stage(relative, "harvest")

    [url] = relative.urls("harvest", "candidates-")
    assert url.startswith(f"{folder}/here/candidates/candidates-")


def test_a_missing_library_names_the_command_that_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def without_beam(name: str) -> object:
        return None if name == "apache_beam" else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_beam)

    with pytest.raises(MissingExtraError, match="apache_beam is not installed") as caught:
        run_stage(run(folder), "harvest")

    assert caught.value.hint == "pip install 'openalign[ingest]'"
    assert [path.name for path in (folder / "run").iterdir()] == [".lock-candidates"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(b"not parquet", "pairs.parquet", id="not a table"),
        pytest.param(None, "pairs.parquet", id="a table without the column"),
    ],
)
def test_a_table_that_cannot_be_used_ends_with_code_2_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, error: str
) -> None:
    if content is None:
        pq.write_table(pa.table({"url": ["https://a/"], "text": ["x"]}), folder / "pairs.parquet")
    else:
        (folder / "pairs.parquet").write_bytes(content)

    assert cli.main(["harvest", "pairs", "--config", str(folder / "pipelines.yaml")]) == 2

    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert error in said
    assert not (folder / "run" / "candidates").exists()


def test_without_a_site_or_a_benchmark_there_are_fewer_stages(folder: Path) -> None:
    with_benchmark = (
        "benchmarks={a: {kind: karpathy, path: a.json}}",
        "evaluate.tasks=[{kind: retrieval, benchmark: a}]",
    )

    gathering = ["harvest", "filter", "fetch", "select"]
    assert stage_names(run(folder).config) == [*gathering, "train", "report"]
    assert stage_names(run(folder, *with_benchmark).config) == [
        name for name in STAGES if name != "site"
    ]


def test_a_stage_does_not_build_on_results_that_do_not_belong_together(folder: Path) -> None:
    both(folder)
    write_table(folder, ["a red apple", "a blue plum in color"])
    run_stage(run(folder, replace=True), "harvest")

    with pytest.raises(StageError, match="was made from another result of `harvest`") as caught:
        run_stage(run(folder, "web.contact=a@example.org"), "fetch")

    assert caught.value.hint == "run `openalign filter pairs` first"


def test_a_stage_looks_at_results_further_back_than_those_it_reads(folder: Path) -> None:
    """And at each of them once: a manifest of a large run names many files."""
    both(folder)
    make_fetch_complete(folder)
    select = STAGES["select"]
    read = Counter[str]()
    require = StageFolder.require

    def counted(self: StageFolder) -> Manifest:
        read[self.url.rpartition("/")[2]] += 1
        return require(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StageFolder, "require", counted)
        read_inputs(run(folder), select)
    assert read == {"candidates": 1, "filtered": 1, "shards": 1}

    write_table(folder, ["a red apple", "a blue plum in color"])
    run_stage(run(folder, replace=True), "harvest")
    with pytest.raises(StageError, match="filtered was made from another result of `harvest`"):
        read_inputs(run(folder), select)


def test_a_stage_that_a_pipeline_got_later_is_no_traceback(folder: Path) -> None:
    """Results before it know nothing of it."""
    both(folder)
    nothing = StageInputs(settings={"settings": {}}, contents={})
    seal(run(folder), "site", "page.html", nothing)

    with pytest.raises(StageError, match="candidates was made from another result of `site`"):
        read_inputs(run(folder, "site={}"), STAGES["filter"])


def test_the_web_is_not_asked_without_somebody_to_write_to(folder: Path) -> None:
    both(folder)
    with pytest.raises(ConfigError, match=r"`web\.contact` must be set"):
        run_stage(run(folder, "web.contact=''"), "fetch")
