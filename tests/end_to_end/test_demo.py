"""The demo itself, on its real site, with a short training: every stage, every rule, every skip."""

import json
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from openalign import cli
from openalign.evaluate import results
from openalign.files import storage
from openalign.files.manifest import Manifest, StageFolder
from openalign.files.states import FetchState, FilterState, HarvestState, PageState, SelectState
from openalign.run.config import load_pipeline
from openalign.run.stages import STAGES, stage_names

ROOT = Path(__file__).parents[2]
PIPELINES = str(ROOT / "pipelines.yaml")
STAGE_NAMES = ["site", "harvest", "filter", "fetch", "select", "train", "evaluate", "report"]

GROUPS = {"test": 186, "hard": 293}
"""Images of the splits that a class is asked of; 8 of `test` are newer than the list of groups."""
TONES = {"test": 139, "hard": 100}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the demo once, with 20 training steps, for all tests of this file."""
    root = tmp_path_factory.mktemp("demo")
    assert openalign("run", "demo", root=root) == 0
    return root


def openalign(*arguments: str, root: Path, beam: tuple[str, ...] = ()) -> int:
    settings = (
        f"root={root}",
        "train.duration={steps: 20}",
        "train.schedule.warmup_steps=2",
        "train.checkpoint_every_steps=10",
    )
    flags = [flag for setting in settings for flag in ("--set", setting)]
    return cli.main([*arguments, "--config", PIPELINES, *flags, *(("--", *beam) if beam else ())])


def ask(query: str) -> list[tuple[Any, ...]]:
    return duckdb.connect().execute(query).fetchall()


def manifest(root: Path, stage: str) -> Manifest:
    return StageFolder(str(root), STAGES[stage].folder).require()


def data(root: Path, stage: str) -> dict[str, str]:
    """Return name and sha256 of every data file, as it is on disk now."""
    folder = root / STAGES[stage].folder
    return {f.name: storage.sha256_of(str(folder / f.name)) for f in manifest(root, stage).files}


def test_every_stage_is_complete_and_accounts_for_every_row(root: Path) -> None:
    assert stage_names(load_pipeline(PIPELINES, "demo")) == STAGE_NAMES
    for stage in STAGE_NAMES:
        found = manifest(root, stage)
        assert sum(found.states.values()) == found.num_inputs, stage
        assert data(root, stage) == {f.name: f.sha256 for f in found.files}, stage
    # What one stage hands on is what the next is given.
    assert manifest(root, "filter").num_inputs == manifest(root, "harvest").num_outputs
    assert manifest(root, "fetch").num_inputs == manifest(root, "filter").num_outputs
    assert manifest(root, "select").num_inputs == manifest(root, "fetch").num_outputs


def test_every_rule_of_the_paper_fires(root: Path) -> None:
    assert all(manifest(root, "filter").states.get(state) for state in FilterState)
    # Size and shape are judged on the header already, by the same rules: see `fetched` below.
    for state in (SelectState.IMAGE_WITH_MANY_ALT_TEXTS, SelectState.NEAR_DUPLICATE):
        assert manifest(root, "select").states.get(state), state
    assert all(
        manifest(root, "harvest").states.get(state)
        for state in (HarvestState.KEPT, HarvestState.DUPLICATE, HarvestState.DATA_URL)
    )
    fetched = manifest(root, "fetch").states
    for state in (
        FetchState.FETCHED,
        FetchState.HTTP_GONE,
        FetchState.ROBOTS_DENIED,
        FetchState.OPTED_OUT,
        FetchState.NOT_AN_IMAGE,
        FetchState.SHORT_SIDE,
        FetchState.ASPECT_RATIO,
    ):
        assert fetched.get(state), state


def test_the_crawl_found_every_page_and_what_is_none(root: Path) -> None:
    pages = ask(f"select page_url, state from '{root}/candidates/pages-*.parquet' order by 1")

    states = dict(pages)
    host = "http://openmoji.example"
    assert states[f"{host}/"] == PageState.PARSED
    assert states[f"{host}/gone.html"] == PageState.HTTP_ERROR
    assert states[f"{host}/notes.txt"] == PageState.NOT_HTML
    assert states[f"{host}/private/a.html"] == PageState.ROBOTS_DENIED
    on_disk = len(list((root / "site" / "www").rglob("*.html")))
    # All pages but the private one were parsed; `/` and `/index.html` are the same file.
    assert Counter(states.values())[PageState.PARSED] == on_disk - 1


def test_no_held_out_image_is_trained_on(root: Path) -> None:
    benchmark = json.loads((root / "site" / "benchmark" / "dataset.json").read_text())
    held_out = {
        storage.sha256_of(str(root / "site" / "www" / "pictures" / image["filename"]))
        for image in benchmark["images"]
        if image["split"] != "train"
    }

    trained = ask(
        f"select distinct l.sha256 from '{root}/selected/training-*.parquet' t "
        f"join '{root}/shards/ledger-*.parquet' l using (key)"
    )

    assert len(held_out) == 194 + 185 + 293
    assert len(trained) > 2500
    assert held_out.isdisjoint(sha256 for (sha256,) in trained)


def test_no_image_that_a_class_is_asked_of_is_trained_on(root: Path) -> None:
    benchmark = root / "site" / "benchmark"
    split_of = {
        image["filename"]: image["split"]
        for image in json.loads((benchmark / "dataset.json").read_text())["images"]
    }

    def asked(table: str) -> list[str]:
        query = f"select image from '{benchmark}/{table}.csv' where split = 'test'"
        return [image for (image,) in ask(query)]

    assert Counter(split_of[image] for image in asked("groups")) == GROUPS
    assert Counter(split_of[image] for image in asked("tones")) == TONES


def test_classification_stands_beside_retrieval(root: Path) -> None:
    evaluated = results.read(str(root / "evaluate" / "results.json"))

    assert [(task.kind, task.name) for task in evaluated.tasks] == [
        ("retrieval", "openmoji"),
        ("retrieval", "openmoji-hard"),
        ("composed", "edits"),
        ("zero_shot", "openmoji-groups"),
        ("zero_shot", "openmoji-tones"),
        ("neighbors", "openmoji-groups"),
        ("neighbors", "openmoji-tones"),
        ("probe", "openmoji-groups"),
        ("probe", "openmoji-tones"),
    ]
    assert evaluated.metric("zero_shot/openmoji-groups/top_1").n == sum(GROUPS.values())
    assert evaluated.metric("probe/openmoji-groups/top_1").n == sum(GROUPS.values())


def test_the_training_manifest_points_at_jpegs(root: Path) -> None:
    rows = ask(
        f"select shard, \"offset\", length from '{root}/selected/training-*.parquet' limit 50"
    )

    for shard, offset, length in rows:
        content = storage.read_range(str(root / "shards" / shard), offset, length)
        assert content[:3] == b"\xff\xd8\xff"
        assert content[-2:] == b"\xff\xd9"


def test_no_port_and_no_path_of_this_run_is_in_its_data(root: Path) -> None:
    for stage in STAGE_NAMES:
        folder = root / STAGES[stage].folder
        texts = {"manifest.json": (folder / "manifest.json").read_text()}
        for entry in manifest(root, stage).files:
            path = folder / entry.name
            is_table = path.suffix == ".parquet"
            texts[entry.name] = (
                str(pq.read_table(path).to_pylist())
                if is_table
                else path.read_text(errors="ignore")
            )
        for name, text in texts.items():
            assert str(root) not in text, f"{stage}: {name}"
            assert "127.0.0.1:" not in text, f"{stage}: {name}"


def test_a_second_run_does_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [path for path in root.rglob("*") if path.is_file()]
    # A lock names the process that holds it.
    before = {p: p.stat().st_mtime_ns for p in files if not p.name.startswith(".lock-")}

    assert openalign("run", "demo", root=root) == 0

    said = capsys.readouterr().err
    assert said.count("up to date") == len(STAGE_NAMES)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_search_prints_ranked_images(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert openalign("search", "demo", "red heart", "-k", "3", root=root) == 0

    lines = capsys.readouterr().out.splitlines()
    scores = [float(line.split()[1]) for line in lines]
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert scores == sorted(scores, reverse=True)
    assert all(Path(line.split()[-1]).exists() for line in lines)


def test_the_report_is_one_page_that_stands_alone(root: Path) -> None:
    html = (root / "report" / "report.html").read_text()
    outside: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if name in ("src", "href") and tag != "a" and not str(value).startswith("data:"):
                    outside.append(str(value))

    Reader().feed(html)

    assert outside == []
    assert "CC BY-SA 4.0" in html
    assert "R@1" in (root / "report" / "report.md").read_text()


@pytest.mark.parametrize("stage", ["filter", "fetch"])
def test_two_processes_give_the_same_bytes(root: Path, tmp_path: Path, stage: str) -> None:
    for name in ("site", "candidates", "filtered"):
        shutil.copytree(root / name, tmp_path / name, copy_function=shutil.copy)
    shutil.rmtree(tmp_path / STAGES[stage].folder, ignore_errors=True)

    flags = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    assert openalign(stage, "demo", root=tmp_path, beam=flags) == 0

    assert data(tmp_path, stage) == data(root, stage)


def test_a_changed_setting_runs_its_stage_again_and_says_which(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("site", "candidates", "filtered"):
        shutil.copytree(root / name, tmp_path / name)

    assert openalign("filter", "demo", "--set", "filter.text.min_unigrams=4", root=tmp_path) == 0

    said = capsys.readouterr().err
    assert "runs again, because this changed: text.min_unigrams: 3 -> 4" in said
    assert manifest(tmp_path, "filter").num_outputs < manifest(root, "filter").num_outputs


def test_a_stage_that_keeps_nothing_stops_the_run_with_the_funnel(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("site", "candidates"):
        shutil.copytree(root / name, tmp_path / name)

    assert (
        openalign("run", "demo", "--set", "filter.text.frequent.at_least=999999", root=tmp_path)
        == 2
    )

    said = capsys.readouterr().err
    assert "error: filter left nothing for the next stage" in said
    assert FilterState.RARE_NGRAM in said
    assert not (tmp_path / "shards").exists()


def test_its_site_is_out_of_reach_for_a_remote_cluster(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = manifest(root, "harvest")
    master = ("--runner=SparkRunner", "--spark_master_url=spark://far.invalid:7077")

    assert (
        openalign("harvest", "demo", "--set", "harvest.source.max_depth=1", root=root, beam=master)
        == 2
    )

    assert "remote workers cannot ask it" in capsys.readouterr().err
    assert manifest(root, "harvest") == before


def test_a_world_size_that_does_not_divide_the_batch_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--yes", "--set", "train.num_processes=3", "--set", "train.seed=9")
    code = openalign("train", "demo", *words, root=root)

    said = capsys.readouterr().err
    assert code == 2
    assert "128" in said
    assert "3" in said
    assert manifest(root, "train").num_outputs > 0  # the finished model is still there
