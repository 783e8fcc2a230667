"""A first pipeline over what somebody has: it names what was found, passes `validate`, and runs."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_images import image_bytes, write_tar

from openalign import cli
from openalign.errors import ConfigError, InputError
from openalign.run.config import PipelineConfig, load_pipeline
from openalign.run.translated.from_data import KINDS, Told, kind_of, pipeline_text
from openalign.run.translated.writing import append


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(path: str, **told: str) -> PipelineConfig:
    """Return the pipeline, as a settings file reads it."""
    Path("made.yaml").write_text(pipeline_text("mine", path, Told(**told)))
    return load_pipeline("made.yaml", "mine")


def source_of(path: str, **told: str) -> Any:
    harvest = made(path, **told).harvest
    assert harvest is not None
    return harvest.source


def write_parquet(name: str, num_rows: int, *columns: str) -> None:
    table = {column: [f"{column} {n}" for n in range(num_rows)] for column in columns}
    pq.write_table(pa.table(table), name)


@pytest.mark.parametrize(
    ("columns", "layout", "url", "caption"),
    [
        (("URL", "TEXT", "similarity"), "laion", "URL", "TEXT"),
        (("url", "text", "clip_similarity_vitb32"), "coyo", "url", "text"),
        (("image_urls", "captions"), "sbu", "image_urls", "captions"),
        (("url", "caption"), "", "url", "caption"),
        (("image_url", "alt_text", "id"), "", "image_url", "alt_text"),
    ],
)
def test_the_columns_of_a_table_are_recognized(
    columns: tuple[str, ...], layout: str, url: str, caption: str
) -> None:
    write_parquet("t.parquet", 3, *columns)

    source = source_of("t.parquet")

    assert source.layout == layout
    assert (source.columns.url, source.columns.caption) == (url, caption)


@pytest.mark.parametrize(
    ("line", "layout"),
    [("a red apple\thttp://a.b/1.jpg\n", "cc3m"), ("http://a.b/1.jpg\ta red apple\n", "cc12m")],
)
def test_tables_without_names_are_recognized(line: str, layout: str) -> None:
    Path("t.tsv").write_text(line * 3)
    assert source_of("t.tsv").layout == layout


def test_columns_that_are_not_known_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Path("t.csv").write_text("where,words\nhttp://a.b/1.jpg,a red apple\n")
    assert cli.main(["init", "mine", "t.csv"]) == 2
    said = capsys.readouterr().err
    assert "has the columns where, words" in said
    assert "hint: name them: --url-column NAME --caption-column NAME" in said

    flags = ["--url-column", "where", "--caption-column", "words"]
    assert cli.main(["init", "mine", "t.csv", *flags]) == 0
    source: Any = load_pipeline("pipelines.yaml", "mine").harvest
    assert (source.source.url_column, source.source.caption_column) == ("where", "words")


@pytest.mark.parametrize(
    ("num_rows", "batch", "at_least"), [(10, 4, 1), (300, 32, 1), (600, 64, 1), (20_000, 64, 2)]
)
def test_the_number_of_rows_decides_the_batch(num_rows: int, batch: int, at_least: int) -> None:
    write_parquet("t.parquet", num_rows, "url", "caption")

    config = made("t.parquet")

    assert config.train.global_batch_size == batch
    assert config.train.num_blocks == 2  # for as many processes
    assert config.filter.text.frequent.kind == "min_count"
    assert config.filter.text.frequent.at_least == at_least
    assert f"{num_rows:,} rows in 1 file" in config.description


def test_what_lies_at_a_path_is_told_by_it() -> None:
    write_parquet("t.parquet", 1, "url", "caption")
    Path("tables").mkdir()
    write_parquet("tables/t.parquet", 1, "url", "caption")
    Path("photos").mkdir()
    Path("photos/a.jpg").write_bytes(image_bytes(1))
    write_tar(Path("set/0.tar"), [])
    Path("model").mkdir()
    Path("model/config.json").write_text("{}")
    Path("archives").mkdir()
    Path("archives/a.warc.gz").write_bytes(b"")

    assert {
        path: kind_of(path)
        for path in (
            *("t.parquet", "tables", "*.csv", "https://a.b/t.parquet"),
            *("https://museum.example/", "photos", "set", "s3://bucket/{0..9}.tar"),
            *("model", "archives", "a.warc", "https://a.b/a.warc.gz"),
        )
    } == {
        "t.parquet": "table",
        "tables": "table",
        "*.csv": "table",
        "https://a.b/t.parquet": "table",
        "https://museum.example/": "site",
        "photos": "folder",
        "set": "tars",
        "s3://bucket/{0..9}.tar": "tars",
        "model": "checkpoint",
        "archives": "warc",
        "a.warc": "warc",
        "https://a.b/a.warc.gz": "warc",
    }


def test_what_cannot_be_told_is_asked_for() -> None:
    Path("odd").mkdir()
    Path("odd/notes.md").write_text("x")
    with pytest.raises(ConfigError, match="what this is cannot be told") as caught:
        kind_of("odd")
    assert all(kind in (caught.value.hint or "") for kind in KINDS)
    with pytest.raises(InputError, match="nowhere is not there"):
        kind_of("nowhere")
    with pytest.raises(ConfigError, match="--from tabel is no kind of data") as caught:
        pipeline_text("mine", "t.parquet", Told(kind="tabel"))
    assert caught.value.hint == "did you mean `table`?"


def test_only_sources_on_the_web_need_a_contact(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    Path("photos/a.jpg").write_bytes(image_bytes(1))
    Path("photos/a.txt").write_text("a red square")
    assert cli.main(["init", "mine", "photos"]) == 0
    assert "next: openalign run mine" in capsys.readouterr().err
    assert cli.main(["init", "site", "https://museum.example/"]) == 0
    assert "next: set its web.contact, then openalign run site" in capsys.readouterr().err
    assert cli.main(["init", "told", "https://museum.example/", "--contact", "a@b.c"]) == 0
    assert "next: openalign run told" in capsys.readouterr().err
    assert load_pipeline("pipelines.yaml", "told").web.contact == "a@b.c"
    capsys.readouterr()
    assert cli.main(["validate"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if " ok " in line] == ["mine", "site", "told"]


def test_images_without_texts_make_no_pipeline(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    Path("photos/a.jpg").write_bytes(image_bytes(1))
    Path("photos/b.txt").write_text("a text of no image")

    assert cli.main(["init", "mine", "photos"]) == 2

    said = capsys.readouterr().err
    assert "photos holds images, such as a.jpg, and no text beside any of them" in said
    assert not Path("pipelines.yaml").exists()


def test_a_model_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model").mkdir()
    for name in ("config.json", "vocab.txt", "preprocessor_config.json"):
        Path("model", name).write_text("{}")
    config = made("model")
    assert "processor" not in pipeline_text("mine", "model", Told())
    assert (config.evaluate.model, config.evaluate.fast) == ("model", True)
    assert config.harvest is None
    assert cli.main(["init", "mine", "model"]) == 0
    assert "next: say under its benchmarks where yours lie, then" in capsys.readouterr().err


def test_a_model_without_its_processor_is_told_what_it_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("model").mkdir()
    Path("model/config.json").write_text("{}")

    assert cli.main(["init", "mine", "model"]) == 0

    said = capsys.readouterr().err
    assert "next: the model has no tokenizer: name as its evaluate.processor a folder" in said
    assert 'processor: ""    # the model was saved without' in Path("pipelines.yaml").read_text()
    Path("model/vocab.txt").touch()
    text = pipeline_text("other", "model", Told())
    assert "has no preprocessor_config.json: images are prepared as the paper's" in text


def test_paths_and_names_are_quoted_where_they_must_be() -> None:
    name = 'a "b": #c \N{RED APPLE}.parquet'
    write_parquet(name, 1, "url", "the: text")
    assert source_of(name, caption_column="the: text").path == name


def test_a_path_may_stand_behind_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet("t.parquet", 3, "url", "caption")
    assert cli.main(["init", "mine", "--print", "t.parquet"]) == 0
    assert capsys.readouterr().out.startswith("mine:\n")


def test_libraries_of_clouds_are_not_missed() -> None:
    write_parquet("t.parquet", 3, "url", "caption")
    code = (
        "import sys; sys.modules['apitools.base.py'] = None; from openalign.cli import main; "
        "sys.exit(main(['init', 'mine', 't.parquet', '--print']))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("mine:\n")
    assert found.stderr == ""


def test_a_table_without_a_line_is_empty() -> None:
    Path("tables").mkdir()
    Path("tables/a.csv").touch()
    with pytest.raises(InputError, match=r"tables/a.csv is empty$"):
        pipeline_text("mine", "tables/a.csv", Told())
    Path("tables/b.csv").touch()
    with pytest.raises(InputError, match=r"all 2 tables of tables are empty$"):
        pipeline_text("mine", "tables", Told())
    Path("tables/c.csv").write_text("url,caption\nhttp://a.b/1.jpg,a red apple\n")
    assert made("tables").description == "A first try: 1 row in 3 files"


@pytest.mark.parametrize(
    ("told", "error", "hint"),
    [
        (
            {"url_column": "addres", "caption_column": "cap"},
            "there is no column `addres`",
            "did you mean `address`?",
        ),
        (
            {"url_column": "address", "caption_column": "words"},
            "there is no column `words`",
            "there are: address, cap",
        ),
        (
            {"url_column": "cap", "caption_column": "cap"},
            "addresses and texts cannot both be in the column `cap`",
            "name two columns: --url-column NAME --caption-column NAME",
        ),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(
    told: dict[str, str], error: str, hint: str
) -> None:
    write_parquet("t.parquet", 3, "address", "cap")
    with pytest.raises((ConfigError, InputError), match=error) as refused:
        pipeline_text("mine", "t.parquet", Told(**told))
    assert refused.value.hint == hint


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.tsv", "url\tcaption\nhttp://a.b/1\tone\nhttp://a.b/2\ttwo"),
        ("t.csv", 'url,caption\nhttp://a.b/1,"one\nline"\nhttp://a.b/2,two\n'),
        ("t.jsonl", '{"url": "http://a.b/1", "caption": "one"}\n' * 2),
        ("cc3m.tsv", "one\thttp://a.b/1\ntwo\thttp://a.b/2\n"),
    ],
)
def test_rows_of_small_texts_are_counted(name: str, text: str) -> None:
    Path(name).write_text(text)
    assert made(name).description.startswith("A first try: 2 rows in 1 file")
    Path(f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    assert made(f"{name}.gz").description.startswith("A first try: 2 rows in 1 file")


def test_a_damaged_table_is_not_counted() -> None:
    Path("tables").mkdir()
    Path("tables/a.jsonl").write_text('{"url": "http://a.b/1", "caption": "one"}\n')
    Path("tables/b.jsonl").write_bytes(b"\x00" * 100)
    assert made("tables").description == "A first try: rows in 2 files"


def test_a_pipeline_is_added_below_comments_and_never_where_it_cannot_stand() -> None:
    text = "mine:\n  root: here\n"
    Path("comments.yaml").write_text("# mine own\n")
    append("comments.yaml", "mine", text)
    assert Path("comments.yaml").read_text() == f"# mine own\n\n{text}"
    Path("flow.yaml").write_text("{a: {}}\n")
    with pytest.raises(ConfigError, match=r"flow\.yaml:3"):
        append("flow.yaml", "mine", text)
    assert Path("flow.yaml").read_text() == "{a: {}}\n"


def test_without_a_terminal_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", "mine"]) == 2
    assert "PATH is missing" in capsys.readouterr().err
    assert not Path("pipelines.yaml").exists()


def typed_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    terminal = io.StringIO(text)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", terminal)


def test_at_a_terminal_what_is_missing_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_parquet("t.parquet", 1, "url", "caption")
    typed_in(monkeypatch, "mine\n t.parquet \n")
    assert cli.main(["init", "--print"]) == 0
    found = capsys.readouterr()
    assert found.out.startswith("mine:\n")
    assert found.err.startswith("What is the pipeline to be called? Where does the data")
    assert json.dumps("t.parquet") in found.out


def test_who_answers_nothing_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed_in(monkeypatch, "mine\n")  # and then Ctrl-D
    assert cli.main(["init"]) == 2
    assert "error: PATH is missing" in capsys.readouterr().err


def test_a_name_that_cannot_be_a_pipelines_is_refused() -> None:
    with pytest.raises(ConfigError, match="NAME"):
        pipeline_text("a/b", "t.parquet", Told())


def test_a_contact_that_is_none_is_told_with_its_flag() -> None:
    write_parquet("pairs.parquet", 3, "url", "caption")

    with pytest.raises(ConfigError, match=r"^--contact: contact must be an e-mail address"):
        pipeline_text("mine", "pairs.parquet", Told(contact="nobody"))
