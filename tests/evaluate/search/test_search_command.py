"""`openalign search`: words of any kind, and one query after another."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from range_server import range_server

from openalign import cli
from openalign.evaluate.embedding.encoder import Encoder


@pytest.fixture(scope="module")
def root(
    shared_benchmark: Path, model_folder: str, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Return the root of a run that has measured the five test images of a benchmark."""
    root = str(tmp_path_factory.mktemp("searched") / "run")
    data = f"squares={shared_benchmark}/dataset.json"
    words = ["evaluate", "--model", model_folder, "--data", data, "--set", f"root={root}"]
    assert cli.main(words) == 0
    return root


def found(capsys: pytest.CaptureFixture[str], root: str, *words: str, code: int = 0) -> list[str]:
    capsys.readouterr()
    assert cli.main(["search", root, *words]) == code
    return capsys.readouterr().out.splitlines()


def test_words_behind_two_dashes_may_begin_with_a_dash(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found(capsys, root, "-k", "2", "--", "-red") == found(capsys, root, "- red", "-k", "2")
    assert found(capsys, root, "big", "--", "-red") == found(capsys, root, "big - red")


def test_a_word_with_a_dash_is_told_where_it_stands(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["search", root, "-red", "big square"])

    assert stopped.value.code == 2
    hint = "words that begin with a dash stand behind `--`: -- -red 'big square'"
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("file", ["embeddings/squares-images.npy", "search/items.parquet"])
@pytest.mark.parametrize("damage", ["cut", "removed for its zeros"])
def test_evaluate_makes_a_damaged_file_again(
    file: str, damage: str, root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(root, tmp_path / "run")
    before = found(capsys, str(copy), "red")
    damaged = copy / "evaluate" / file
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-9] if damage == "cut" else bytes(len(content)))

    assert cli.main(["search", str(copy), "red"]) == 2
    hint = f"hint: remove {damaged} and run `openalign evaluate` again"
    assert hint in capsys.readouterr().err
    if damage != "cut":
        damaged.unlink()
    assert cli.main(["evaluate", str(copy)]) == 0

    assert f"{damaged} is gone, or not as long as it was written" in capsys.readouterr().err
    assert damaged.read_bytes() == content
    assert found(capsys, str(copy), "red") == before


def test_more_hits_than_images_are_all_images(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(found(capsys, root, "red", "-k", "1000")) == 5


def test_a_query_image_that_is_not_there_is_told(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["search", root, "--image", "nowhere.jpg"]) == 2

    told = capsys.readouterr().err
    assert told.startswith(
        "error: nowhere.jpg cannot be read: there is no such file\n\nhint: a query"
    )


def test_queries_of_a_file_have_the_answers_of_each_and_load_the_model_once(
    root: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = ["a red square", "-blue", "green"]
    file = tmp_path / "queries.txt"
    file.write_bytes(b"\xef\xbb\xbfa red square\r\n\r\n-blue \n\ngreen")
    edit = ("--minus", "light", "-k", "3")
    alone = [found(capsys, root, *edit, "--", text) for text in texts]
    loads: list[str] = []
    load = Encoder.load

    def counted(folder: str, **options: object) -> Encoder:
        loads.append(folder)
        return load(folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Encoder, "load", counted)

    lines = found(capsys, root, "--queries", str(file), *edit)

    assert lines == [
        line for text, hits in zip(texts, alone, strict=True) for line in (text, *hits)
    ]
    assert len(loads) == 1


def test_a_query_without_an_answer_stops_no_other(
    root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "queries.txt"
    file.write_text("red\n犬\nblue\n")

    lines = found(capsys, root, "--queries", str(file), "-k", "1", "--json", code=2)

    answers = [json.loads(line) for line in lines]
    assert [answer["query"] for answer in answers] == ["red", "犬", "blue"]
    assert [len(answer.get("hits", ())) for answer in answers] == [1, 0, 1]
    assert "the model knows no word of '犬'" in answers[1]["error"]


def test_another_program_has_each_answer_before_it_asks_again(root: str) -> None:
    command = [sys.executable, "-m", "openalign", "search", root, "--queries", "-", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for query in ("red", "Blau und red", "red"):
            process.stdin.write(f"{query}\n".encode())
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert answer["query"] == query
            assert len(answer["hits"]) == 5
        process.stdin.close()
        assert process.wait() == 0


def test_a_typed_line_that_is_not_utf_8_is_named_and_stops_no_other(
    root: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = io.TextIOWrapper(io.BytesIO(b"red\ncaf\xe9\nblue\n"))
    monkeypatch.setattr(sys, "stdin", typed)

    assert cli.main(["search", root, "--queries", "-", "--json"]) == 2

    said = capsys.readouterr()
    assert "error: caf\ufffd: line 2 of the standard input is not UTF-8" in said.err
    first, second, third = map(json.loads, said.out.splitlines())
    assert second == {"query": "caf\ufffd", "error": "line 2 of the standard input is not UTF-8"}
    assert [len(each["hits"]) for each in (first, third)] == [5, 5]


@pytest.mark.parametrize(
    ("content", "words", "error"),
    [
        pytest.param(b"red\n", ["blue"], "`--queries` stands in place of words", id="words too"),
        pytest.param(b" \n\n", [], "queries.txt holds no query", id="no query"),
        pytest.param(b"red\ncaf\xe9\n", [], "queries.txt:2: is not UTF-8", id="not UTF-8"),
        pytest.param(None, [], "queries.txt cannot be read", id="no file"),
    ],
)
def test_queries_that_cannot_be_asked_are_told(  # noqa: PLR0917
    root: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    words: list[str],
    error: str,
) -> None:
    file = tmp_path / "queries.txt"
    if content is not None:
        file.write_bytes(content)

    assert cli.main(["search", root, *words, "--queries", str(file)]) == 2

    said = capsys.readouterr()
    assert error in said.err
    assert said.out == ""


def test_queries_that_a_server_does_not_send_are_told(
    root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with range_server(tmp_path) as server:
        server.failures_left = 9
        assert cli.main(["search", root, "--queries", f"{server.url}/queries.txt"]) == 2

    assert "queries.txt cannot be read: ClientResponseError: 503" in capsys.readouterr().err


def test_a_hit_is_one_line_whatever_its_name(
    model_folder: str, shared_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(shared_benchmark / "images" / "red.png", photos / "a\n\x1b[2J.png")
    words = ["--model", model_folder, "--set", f"root={tmp_path}/run"]
    assert cli.main(["evaluate", *words, "--data", f"images={photos}"]) == 0
    capsys.readouterr()

    assert cli.main(["search", *words, "red"]) == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(rf"{photos}/a\n\x1b[2J.png")


def test_words_of_another_encoding_are_told(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["search", root, "caf\udce9"]) == 2

    assert r"error: the query 'caf\udce9' is not UTF-8" in capsys.readouterr().err


def test_an_image_that_is_alone_and_asks_for_itself_finds_nothing(
    model_folder: str, shared_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = json.loads((shared_benchmark / "dataset.json").read_text())
    file = tmp_path / "one.json"
    file.write_text(json.dumps({**listed, "images": listed["images"][:1]}))
    source = ["--model", model_folder, "--set", f"root={tmp_path}/run"]
    images = shared_benchmark / "images"
    data = ["--data", f"one={file}", "--set", f"benchmarks.one.images={images}"]
    assert cli.main(["evaluate", *source, *data]) == 0
    capsys.readouterr()

    assert cli.main(["search", *source, "--image", str(images / "red.png")]) == 0

    assert capsys.readouterr().out == ""
