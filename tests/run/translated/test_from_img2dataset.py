"""Commands of img2dataset as pipelines: how they are read, and what becomes of each argument."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from openalign.cli import main
from openalign.errors import ConfigError
from openalign.files.manifest import StageFolder
from openalign.files.tables import read_table
from openalign.run.config import load_pipeline
from openalign.run.translated.from_img2dataset import arguments_of, pipeline_text
from openalign.run.translated.img2dataset_arguments import ARGUMENTS

# The signature of `download` in img2dataset 1.47.0, in its order; beside each a value of its type,
# and the settings that it becomes, or what is said instead.
SIGNATURE: list[tuple[str, str, dict[str, Any] | str]] = [
    ("url_list", "in/p.parquet", {"harvest.source.path": "in/p.parquet"}),
    ("image_size", "256", {"fetch.size_px": 256}),
    ("output_folder", "out", {"root": "out"}),
    ("processes_count", "16", "--direct_num_workers=16"),
    ("resize_mode", "border", "no border is added"),
    ("resize_only_if_bigger", "True", "never enlarged"),
    ("upscale_interpolation", "lanczos", "never enlarged"),
    ("downscale_interpolation", "area", "not a setting"),
    ("encode_quality", "95", {"fetch.quality": 95}),
    ("encode_format", "webp", {"fetch.format": "webp"}),
    ("skip_reencode", "True", "encoded again"),
    ("output_format", "files", "always webdataset tars"),
    ("input_format", "tsv", {"harvest.source.quoting": "doubled"}),
    ("url_col", "URL", {"harvest.source.url_column": "URL"}),
    ("caption_col", "TEXT", {"harvest.source.caption_column": "TEXT"}),
    ("bbox_col", "boxes", "nothing is blurred"),
    ("thread_count", "64", {"fetch.web.connections": 64}),
    ("number_sample_per_shard", "1000", {"fetch.images_per_shard": 1000}),
    ("extract_exif", "False", "which is not kept"),
    ("save_additional_columns", '["a", "b"]', {"harvest.source.carry_columns": ["a", "b"]}),
    ("timeout", "7", {"fetch.web.connect_seconds": 7.0, "fetch.web.first_byte_seconds": 7.0}),
    ("enable_wandb", "True", "run.jsonl"),
    ("wandb_project", "mine", "run.jsonl"),
    ("oom_shard_count", "5", "named by its bucket"),
    ("compute_hash", "md5", "no other hash"),
    ("verify_hash", '["h", "sha256"]', {"harvest.source.sha256_column": "h"}),
    ("distributor", "pyspark", "on Spark"),
    ("subjob_size", "1000", "a fetch is one job"),
    ("retries", "3", {"fetch.web.num_retries": 3}),
    ("disable_all_reencoding", "True", {"fetch.keep_original": True}),
    ("min_image_size", "64", {"select.image.short_side_above_px": 63}),
    ("max_image_area", "1000000", {"fetch.max_pixels": 1_000_000}),
    ("max_aspect_ratio", "2.5", {"select.image.aspect_ratio_below": 2.5}),
    ("incremental_mode", "overwrite", "`--yes`"),
    ("max_shard_retry", "1", "the same command"),
    ("user_agent_token", "mine", "`web.contact`"),
    ("disallowed_header_directives", "[]", {"fetch.web.respect_opt_outs": False}),
]

TABLE = "--input_format=parquet --caption_col=TEXT"


def flat(sections: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in sections.items():
        key = f"{path}.{name}".lstrip(".")
        found |= flat(value, key) if isinstance(value, dict) else {key: value}
    return found


def settings_of(command: str) -> dict[str, Any]:
    return flat(yaml.safe_load(pipeline_text("p", command))["p"])


def comment_of(text: str, argument: str) -> str:
    """Return what is said of an argument, in one line."""
    lines = [line.removeprefix("#") for line in text.splitlines() if line.startswith("#")]
    whole = "\n".join(lines).replace("\n     ", " ")
    return next(line for line in whole.splitlines() if line.startswith(f"   {argument}="))


def test_every_argument_is_known_in_its_order() -> None:
    assert list(ARGUMENTS) == [name for name, _, _ in SIGNATURE]


@pytest.mark.parametrize(
    ("argument", "value", "becomes"), SIGNATURE, ids=[name for name, _, _ in SIGNATURE]
)
def test_every_argument_becomes_a_setting_or_is_explained(
    argument: str, value: str, becomes: dict[str, Any] | str
) -> None:
    needed = {"url_list": "x.parquet", "input_format": "parquet", "caption_col": "c"}
    if argument == "input_format":
        needed["url_list"] = "x.tsv"
    text = pipeline_text("p", words_of(needed | {argument: value}))

    found = flat(yaml.safe_load(text)["p"])
    if isinstance(becomes, dict):
        assert {key: found[key] for key in becomes} == becomes
        assert all(key in comment_of(text, argument) for key in becomes)
    else:
        assert becomes in comment_of(text, argument)
        assert found == settings_of(words_of(needed))


def words_of(given: dict[str, str]) -> str:
    return " ".join(f"--{name}='{value}'" for name, value in given.items())


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("img2dataset --url_list=a.csv --image_size=256", id="as it is documented"),
        pytest.param("--url_list a.csv --image_size 256", id="values behind names, no program"),
        pytest.param("--url-list=a.csv --image-size=256", id="dashes"),
        pytest.param("/usr/bin/img2dataset a.csv 256", id="values without names"),
        pytest.param(
            "python -m img2dataset \\\n  --url_list='a.csv' \\\n --image_size 256", id="lines"
        ),
        pytest.param("img2dataset a.csv --image_size '256'", id="one of them named"),
        pytest.param("img2dataset a.csv 256 > log.txt 2>&1", id="output to a file"),
        pytest.param("nohup img2dataset a.csv 256 >>log 2> errors &", id="in the background"),
        pytest.param("img2dataset a.csv &> log --image_size 256 &", id="output, then more"),
        pytest.param("img2dataset a.csv 256 2>&1 | tee log", id="a pipe"),
        pytest.param("cd /x && img2dataset a.csv 256; echo done", id="more commands"),
        pytest.param("img2dataset a.csv 256 && echo done", id="another command"),
        pytest.param("nohup img2dataset a.csv 256&", id="an operator without a blank"),
        pytest.param("img2dataset a.csv --image_size=256>log 2>&1|tee log", id="none with a blank"),
        pytest.param("img2dataset a.csv 256 # the small one", id="a remark"),
        pytest.param("img2dataset a.csv \\ \n 256 \\\r\n \\", id="trailing backslashes"),
    ],
)
def test_commands_are_read_as_a_shell_reads_them(command: str) -> None:
    assert arguments_of(command) == {"url_list": "a.csv", "image_size": 256}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        pytest.param("--extract_exif", True, id="a name alone is true"),
        pytest.param("--noextract_exif", False, id="no before it is false"),
        pytest.param("--extract_exif=False", False, id="a literal"),
        pytest.param("--extract_exif None", None, id="nothing"),
        pytest.param("--extract_exif -1", -1, id="a number below zero"),
        pytest.param("--extract_exif 'a b'", "a b", id="text with a blank"),
        pytest.param("--extract_exif img2dataset", "img2dataset", id="the program's name"),
        pytest.param("--extract_exif='a;'", "a;", id="a quoted end of a command"),
        pytest.param("--extract_exif '>c'", ">c", id="a quoted redirection"),
        pytest.param("--extract_exif '&'", "&", id="a quoted operator"),
        pytest.param('--extract_exif="a b | tee"', "a b | tee", id="a quoted pipe"),
        pytest.param("--extract_exif a\\>b", "a>b", id="an escaped operator"),
        pytest.param("--extract_exif a#b", "a#b", id="a mark within a word"),
        pytest.param("--extract_exif 7>log", True, id="a stream that is led elsewhere"),
        pytest.param("--extract_exif 7 >log", 7, id="a number before an operator"),
    ],
)
def test_values_are_those_that_the_program_would_read(word: str, value: object) -> None:
    assert arguments_of(f"--url_list=x {word}") == {"url_list": "x", "extract_exif": value}


@pytest.mark.parametrize(
    ("command", "error", "hint"),
    [
        ("--url_list=a --imagesize=1", "no argument `imagesize`", "did you mean `image_size`?"),
        ("--url_list=a --frobnicate=1", "no argument `frobnicate`", "it has url_list, image_size"),
        ("--url_list='a", "cannot be read: No closing quotation", "img2dataset --url_list"),
        ("--url_list=a --url_list=b", "`url_list` is given twice", ""),
        ("a.csv --url_list=b", "`url_list` is given twice", ""),
        ("--image_size=1", "names no `url_list`", ""),
        ("--url_list=a.txt", "a list of URLs has no captions", "--input_format=parquet"),
        ("--url_list=a --input_format=xml", "--input_format=xml", ""),
        ("--url_list=a.csv --input_format=csv", "names no `caption_col`", "--caption_col=TEXT"),
        (f"a.parquet {TABLE} --image_size=big", "--image_size=big: must be a whole number", ""),
        (f"a.parquet {TABLE} --image_size=0", "size_px must be above 0", ""),
        (f"a.parquet {TABLE} --encode_quality=0", "quality must be from 1 to 100", ""),
        (f"a.parquet {TABLE} --resize_mode=fit", "must be one of no, center_crop", ""),
        (f"a.parquet {TABLE} --timeout=soon", "--timeout=soon: must be a number", ""),
        (f"a.parquet {TABLE} --resize_only_if_bigger=1", "must be True or False", ""),
        (f"a.parquet {TABLE} --save_additional_columns=3", "must be a list", ""),
        (f"a.parquet {TABLE} --verify_hash=[a]", "must be a column and a kind of hash", ""),
    ],
)
def test_a_command_that_has_no_meaning_is_an_error(command: str, error: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        pipeline_text("p", command)

    assert error in str(raised.value)
    assert hint in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        pytest.param("in", {"harvest.source.path": "in/*.parquet"}, id="a folder"),
        pytest.param("s3://b/in/", {"harvest.source.path": "s3://b/in/*.parquet"}, id="of a URL"),
        pytest.param("in/*.parquet", {"harvest.source.path": "in/*.parquet"}, id="a pattern"),
        pytest.param("A.PARQUET", {"harvest.source.path": "A.PARQUET"}, id="upper case"),
        pytest.param("a --resize_mode=no --image_size=5", {"fetch.resize": "none"}, id="no"),
        pytest.param("a --resize_mode=center_crop", {"fetch.resize": "center_crop"}, id="crop"),
        pytest.param("a --encode_format=jpg", {"fetch.format": "jpeg"}, id="JPEG"),
        pytest.param("a --min_image_size=0", {"select.image.short_side_above_px": 0}, id="all"),
        pytest.param(
            "a --max_aspect_ratio=inf", {"select.image.aspect_ratio_below": 1e6}, id="any ratio"
        ),
        pytest.param(
            "a --save_additional_columns=[x,y]",
            {"harvest.source.carry_columns": ["x", "y"]},
            id="bare",
        ),
        pytest.param(
            "a --disallowed_header_directives='[\"noai\"]'",
            {"fetch.web.respect_opt_outs": True},
            id="opt-outs",
        ),
    ],
)
def test_values_of_other_forms(words: str, settings: dict[str, Any]) -> None:
    found = settings_of(f"{words} {TABLE}")

    assert {key: found[key] for key in settings} == settings


@pytest.mark.parametrize(
    ("path", "input_format", "expected"),
    [
        pytest.param("pairs.txt", "tsv", "pairs.txt", id="a TSV that is called text"),
        pytest.param("x.csv.gz", "csv", "x.csv.gz", id="packed"),
        pytest.param("x.csv", "csv.gz", "x.csv", id="not packed"),
        pytest.param("s3://b/p.JSON", "jsonl", "s3://b/p.JSON", id="lines in a .json"),
        pytest.param("s3://b/laion-v1.5", "csv", "s3://b/laion-v1.5/*.csv", id="a version"),
        pytest.param("s3://b/a.user", "csv", "s3://b/a.user/*.csv", id="a folder with a dot"),
        pytest.param("there", "parquet", "there", id="a file without an ending"),
        pytest.param("there.csv", "csv", "there.csv/*.csv", id="a folder with one"),
        pytest.param("in/*", "csv", "in/*", id="a pattern without one"),
        pytest.param("in.csv/", "csv", "in.csv/*.csv", id="a slash"),
    ],
)
def test_a_list_is_a_file_or_a_folder(
    path: str,
    input_format: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_bytes(b"PAR1")
    (tmp_path / "there.csv").mkdir()

    found = settings_of(f"{path} --input_format={input_format} --caption_col=c")

    assert found["harvest.source.path"] == expected


@pytest.mark.parametrize("path", ["pairs.txt", "in/*.tsv", "pairs.dat", "there"])
def test_a_file_whose_ending_says_another_format_is_an_error(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_text("url,c\n")

    with pytest.raises(ConfigError) as raised:
        pipeline_text("p", f"{path} --input_format=csv --caption_col=c")

    assert str(raised.value) == (
        f"--url_list={path}: is no csv by its ending, which says here how a file is read"
    )
    assert raised.value.hint == "rename the file, or give it a second name: ln -s FILE FILE.csv"


def test_what_has_no_counterpart_sets_nothing() -> None:
    plain = settings_of(f"a {TABLE}")

    for words in ('--verify_hash=\'["h","md5"]\'', "--max_image_area=inf", "--verify_hash=None"):
        assert settings_of(f"a {TABLE} {words}") == plain


def test_a_line_break_in_a_value_stays_in_its_comment() -> None:
    text = pipeline_text("p", f"a {TABLE} --wandb_project='x\ny: 1'")

    assert list(yaml.safe_load(text)) == ["p"]


@pytest.mark.parametrize("name", ["a b", "", "A", "a/b", "a: b"])
def test_a_name_that_cannot_be_that_of_a_pipeline_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match="NAME must be lower-case letters"):
        pipeline_text(name, f"a {TABLE}")


def test_a_command_becomes_a_pipeline_that_harvests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "laion").mkdir()
    pl.DataFrame(
        {
            "URL": ["http://a.example/1.png", "http://a.example/2.png"],
            "TEXT": ["a red apple", "a green pear"],
            "NSFW": ["UNLIKELY", "UNSURE"],
        }
    ).write_parquet(tmp_path / "laion" / "part-0.parquet")
    (tmp_path / "pipelines.yaml").write_text("# mine\nother:\n  evaluate: {model: m}\n")
    command = (
        "img2dataset --url_list=laion --input_format=parquet --url_col=URL --caption_col=TEXT "
        "--output_folder=out --image_size=256 --resize_mode=keep_ratio --min_image_size=64 "
        "--processes_count=16 --save_additional_columns '[\"NSFW\"]'"
    )

    assert main(["init", "laion", "--from-img2dataset", command]) == 0
    assert main(["harvest", "laion"]) == 0

    assert "laion: added to pipelines.yaml" in capsys.readouterr().err
    config = load_pipeline("pipelines.yaml", "laion")
    assert (config.fetch.size_px, config.select.image.short_side_above_px) == (256, 63)
    assert (tmp_path / "pipelines.yaml").read_text().startswith("# mine\nother:\n")
    files = StageFolder("out", "candidates").require().names("candidates-")
    rows = [row for name in files for row in read_table(f"out/candidates/{name}").to_pylist()]
    assert {(row["alt_text"], row["carried"]) for row in rows} == {
        ("a red apple", '{"NSFW":"UNLIKELY"}'),
        ("a green pear", '{"NSFW":"UNSURE"}'),
    }


def test_a_pipeline_is_printed_or_added_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new.yaml"
    words = ["init", "p", "--from-img2dataset", f"a {TABLE}", "--config", str(path)]

    assert main([*words, "--print"]) == 0
    printed = capsys.readouterr().out
    assert not path.exists()

    assert main(words) == 0
    assert path.read_text() == printed
    assert capsys.readouterr().out == ""

    assert main(words) == 2
    assert "there is a pipeline `p` already" in capsys.readouterr().err
    assert path.read_text() == printed
