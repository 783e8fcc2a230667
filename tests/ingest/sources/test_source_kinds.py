"""The table of source kinds, and what the run asks of it."""

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from openalign.cli import main
from openalign.errors import ConfigError, InputError
from openalign.files import hash_cache, storage
from openalign.ingest.sources.kinds import KINDS, fingerprints
from openalign.ingest.sources.table import TableSource
from openalign.ingest.web.config import WebConfig
from openalign.run.config import load_pipeline
from openalign.run.contract import Run
from openalign.run.readiness import require_certificates, require_contact
from openalign.run.stages import STAGES
from openalign.settings.fields import identity

TABLE = "harvest.source={kind: table, path: pairs.csv}"
SITE = "harvest.source={kind: site, seeds: ['https://museum.example/']}"


def load(folder: Path, *overrides: str) -> Run:
    (folder / "pipelines.yaml").write_text("p: {description: ''}\n")
    return Run(stages=STAGES, config=load_pipeline(str(folder / "pipelines.yaml"), "p", overrides))


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_has_one_name(name: str) -> None:
    assert get_args(get_type_hints(KINDS[name].settings)["kind"]) == (name,)


def test_only_a_source_that_asks_the_web_needs_a_contact(tmp_path: Path) -> None:
    require_contact(load(tmp_path, TABLE), STAGES["harvest"])
    require_contact(load(tmp_path, SITE, "web.contact=me@example.org"), STAGES["harvest"])

    with pytest.raises(ConfigError, match=r"`web\.contact` must be set"):
        require_contact(load(tmp_path, SITE), STAGES["harvest"])


def test_only_a_source_that_asks_the_web_needs_certificates(tmp_path: Path) -> None:
    named = "web.ca_file=/nowhere.pem"
    require_certificates(load(tmp_path, TABLE, named), STAGES["harvest"])

    with pytest.raises(InputError, match=r"web\.ca_file: /nowhere\.pem: No such file"):
        require_certificates(load(tmp_path, SITE, named), STAGES["harvest"])


def test_an_unknown_setting_of_a_host_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`web\.hosts\.\*\.cdn\.example\.rate` is not") as caught:
        load(tmp_path, 'web.hosts={"*.cdn.example": {rate: 1}}')
    assert caught.value.hint is None
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "web.hosts={cdn.example: {connection_per_host: 1}}")
    assert caught.value.hint == "did you mean `web.hosts.cdn.example.connections_per_host`?"


@pytest.mark.parametrize(
    ("source", "is_missing"),
    [pytest.param(SITE, True, id="site"), pytest.param(TABLE, False, id="table")],
)
def test_validate_misses_a_contact_where_one_stage_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, *, is_missing: bool
) -> None:
    load(tmp_path, source)  # writes the file
    words = ["--set", source, "--set", "fetch.web.contact=me@example.org"]

    assert main(["validate", "--config", str(tmp_path / "pipelines.yaml"), *words]) == 0

    assert ("set web.contact before it is run" in capsys.readouterr().out) is is_missing


@pytest.mark.parametrize(
    ("source", "differs"),
    [pytest.param(SITE, True, id="site"), pytest.param(TABLE, False, id="table")],
)
def test_how_the_web_is_asked_is_part_of_a_result_that_came_from_it(
    tmp_path: Path, source: str, *, differs: bool
) -> None:
    def settings(*overrides: str) -> object:
        return identity(STAGES["harvest"].settings(load(tmp_path, source, *overrides).config))

    assert (settings("web.respect_robots=false") != settings()) is differs
    assert settings("web.contact=me@example.org", "web.num_retries=9") == settings()
    assert settings("harvest.num_files=3") != settings()


def test_a_table_has_the_fingerprint_of_its_files_names_and_contents(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_bytes(b"1")
        (tmp_path / folder / "b.csv").write_bytes(b"2")

    def of(pattern: str) -> object:
        source = TableSource(path=str(tmp_path / pattern))
        return fingerprints(source, WebConfig(), cache=str(tmp_path / "cache.json"))

    whole = of("here/*.csv")
    assert of("here") == of("there") == of("there/*.csv") == whole != of("here/a.csv")
    (tmp_path / "there" / "b.csv").write_bytes(b"3")
    assert of("there") != whole
    # The ending says how a file is read.
    (tmp_path / "there" / "b.csv").write_bytes(b"2")
    (tmp_path / "there" / "b.csv").rename(tmp_path / "there" / "b.tsv")
    assert of("there") != whole


def test_a_table_that_did_not_change_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_cache, "_SETTLED_NS", -1)  # files of this moment
    (tmp_path / "a.csv").write_bytes(b"1")
    source = TableSource(path=str(tmp_path / "a.csv"))
    cache = str(tmp_path / "cache.json")
    first = fingerprints(source, WebConfig(), cache=cache)
    read: list[str] = []
    monkeypatch.setattr(storage, "sha256_of", lambda url: read.append(url) or "0" * 64)

    assert fingerprints(source, WebConfig(), cache=cache) == first
    assert read == []

    (tmp_path / "a.csv").write_bytes(b"22")
    assert fingerprints(source, WebConfig(), cache=cache) != first
    assert read == [str(tmp_path / "a.csv")]


def test_a_table_without_rows_is_no_matter_of_the_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("url,caption\n")
    source = f"harvest.source={{kind: table, path: '{tmp_path / 't.csv'}'}}"
    load(tmp_path, source)  # writes the file

    words = ["--config", str(tmp_path / "pipelines.yaml"), "--set", source]
    code = main(["harvest", "p", *words, "--set", f"root={tmp_path / 'run'}"])

    assert code == 2
    said = capsys.readouterr().err
    assert "harvest found nothing to hand on: nothing was there" in said
    assert "hint: see that the source holds images with texts" in said


def test_the_web_has_no_fingerprint(tmp_path: Path) -> None:
    harvest = load(tmp_path, SITE).config.harvest

    assert harvest is not None
    assert fingerprints(harvest.source, WebConfig(), cache=str(tmp_path / "cache.json")) == {}
