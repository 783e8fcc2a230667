"""The schema is Google's own: `TemplateMetadata` of the Dataflow API's client, with every field."""

import importlib.util
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from dockerfiles import ROOT

FOLDER = ROOT / "docker/dataflow"
METADATA = (FOLDER / "template-metadata.json").read_text(encoding="utf-8")
PARAMETERS: dict[str, Any] = {entry["name"]: entry for entry in json.loads(METADATA)["parameters"]}


@pytest.fixture(scope="module")
def launch() -> ModuleType:
    spec = importlib.util.spec_from_file_location("launch_template", FOLDER / "launch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _as_google_reads_it(metadata: str) -> dict[str, Any]:
    with warnings.catch_warnings(action="ignore"):  # what Google's packages say of each other
        from google.cloud.dataflow_v1beta3.types import TemplateMetadata
        from google.protobuf.json_format import MessageToDict

        read = TemplateMetadata.from_json(metadata, ignore_unknown_fields=False)
        return MessageToDict(TemplateMetadata.pb(read))


def test_the_metadata_is_what_the_service_reads() -> None:
    """Fields that hold their default are left out when it is written again."""
    ours = json.loads(METADATA)
    assert ours.pop("streaming") is False
    for parameter in ours["parameters"]:
        if not parameter["isOptional"]:
            del parameter["isOptional"]

    assert _as_google_reads_it(METADATA) == ours


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param('"helpText"', '"help"', id="a field that there is not"),
        pytest.param('"ENUM"', '"CHOICE"', id="a type that there is not"),
        pytest.param('"isOptional": true', '"isOptional": "yes"', id="a value of another type"),
    ],
)
def test_the_schema_refuses(right: str, wrong: str) -> None:
    from google.protobuf.json_format import ParseError

    with pytest.raises(ParseError):
        _as_google_reads_it(METADATA.replace(right, wrong, 1))


def test_each_parameter_says_what_it_is_for() -> None:
    for parameter in PARAMETERS.values():
        assert parameter["label"]
        assert parameter["helpText"].endswith((".", "crawler"))
        assert re.fullmatch(r"[a-z][a-z_]*", parameter["name"])


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        pytest.param("verb", "filter", True, id="a data stage"),
        pytest.param("verb", "train", False, id="a stage that is no Beam job"),
        pytest.param("config", "gs://bucket/pipelines.yaml", True, id="settings in a bucket"),
        pytest.param("config", "pipelines.yaml", False, id="settings on one machine"),
        pytest.param("pipeline", "cc3m", True, id="a name"),
        pytest.param("pipeline", "a b", False, id="two names"),
        pytest.param("root", "gs://bucket/runs/cc3m", True, id="a folder in a bucket"),
        pytest.param("root", "gs://bucket", False, id="a bucket"),
        pytest.param("root", "runs/cc3m", False, id="a folder on one machine"),
        pytest.param("settings", "", True, id="no settings"),
        pytest.param("settings", "a.b=1 c=2", True, id="two settings"),
        pytest.param("settings", "a.b", False, id="a setting without a value"),
        pytest.param(
            "sdk_container_image", "europe-docker.pkg.dev/p/r/worker:0.1.0", True, id="a tag"
        ),
        pytest.param(
            "sdk_container_image", f"gcr.io/p/worker@sha256:{'0' * 64}", True, id="a digest"
        ),
        pytest.param("sdk_container_image", "gcr.io/p/worker", False, id="neither"),
    ],
)
def test_a_parameter_takes_and_refuses(name: str, value: str, *, taken: bool) -> None:
    matches = [re.fullmatch(regex, value) for regex in PARAMETERS[name]["regexes"]]

    assert all(matches) is taken


def test_the_launcher_takes_the_parameters_and_beam_the_image(launch: ModuleType) -> None:
    options = {
        action.dest: action.required
        for action in launch._parser()._actions
        if action.dest != "help"
    }
    ours = {
        name: not parameter["isOptional"]
        for name, parameter in PARAMETERS.items()
        if name != "sdk_container_image"
    }

    assert ours == options
    assert [option["value"] for option in PARAMETERS["verb"]["enumOptions"]] == [*launch.VERBS]


def test_the_command_keeps_the_services_flags_but_not_the_drivers_own(launch: ModuleType) -> None:
    stage, flags = launch._parser().parse_known_args(
        [
            *("--verb=filter", "--pipeline=mine", "--config=gs://b/p.yaml", "--root=gs://b/runs"),
            "--settings=filter.text.min_unigrams=2 report.title='A run'",
            *("--runner=DataflowRunner", "--project=p", "--job_name=job", "--region=r"),
            *("--template_location=gs://b/job_object", "--max_num_workers=40"),
        ]
    )

    assert launch.command(stage, flags) == [
        *("filter", "mine", "--set", "root=gs://b/runs"),
        *("--set", "filter.text.min_unigrams=2", "--set", "report.title=A run", "--"),
        *("--runner=DataflowRunner", "--project=p", "--region=r", "--max_num_workers=40"),
        "--job_name=job-filter",
    ]


def _settings(folder: Path) -> str:
    (folder / "pairs.csv").write_text("url,caption\nhttp://a.example/1.jpg,A red apple\n")
    source = {"kind": "table", "path": str(folder / "pairs.csv")}
    (folder / "settings.yaml").write_text(yaml.safe_dump({"tiny": {"harvest": {"source": source}}}))
    return (folder / "settings.yaml").as_uri()


def _launch(folder: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    parameters = {"verb": "harvest", "pipeline": "tiny", "root": str(folder / "run")}
    parameters["config"] = _settings(folder)
    given = [f"--{name}={value}" for name, value in parameters.items()]
    return subprocess.run(
        [sys.executable, "-W", "ignore", FOLDER / "launch.py", *given, *flags],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_job_that_it_describes_runs_the_stage_to_its_end(tmp_path: Path) -> None:
    done = _launch(tmp_path, "--runner=FnApiRunner", "--job_name=job", "--template_location=x")

    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "run/candidates/manifest.json").read_text())
    assert manifest["num_outputs"] == 1


def test_a_stage_that_fails_fails_the_job_and_says_why(launch: ModuleType, tmp_path: Path) -> None:
    settings = _settings(tmp_path)

    with pytest.raises(RuntimeError, match="names no file"):
        launch.drive(settings, ["harvest", "tiny", "--set", "harvest.source.path=none.csv", "--"])


def test_dataflow_takes_the_job(tmp_path: Path) -> None:
    done = _launch(
        tmp_path,
        *(
            "--runner=DataflowRunner",
            "--dry_run=True",
            "--project=project",
            "--region=europe-west1",
        ),
        *(
            "--temp_location=gs://bucket/tmp",
            "--staging_location=gs://bucket/staging",
            "--job_name=job",
        ),
        "--sdk_container_image=gcr.io/p/worker:0.1.0",
    )

    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run").exists()
