"""The nearest thing to a cluster's worker: processes with the wheel and without this repository."""

import subprocess
from pathlib import Path

import clean_environment as environments
import pytest
from small_run import VERBS, content, run_there, site_served
from staging import DATAFLOW

pytestmark = [pytest.mark.slow, pytest.mark.distributed]

TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def test_the_environment_holds_the_wheel_and_no_tools(clean_environment: Path) -> None:
    code = "import openalign, importlib.util as u; print(openalign.__file__, u.find_spec('torch'), "
    code += "u.find_spec('pytest'), u.find_spec('gcsfs'))"

    done = subprocess.run(
        [clean_environment, "-c", code],
        cwd=clean_environment.parent,
        env=environments.environment(clean_environment),
        capture_output=True,
        text=True,
        check=True,
    )

    place, *missing = done.stdout.split()
    assert Path(place).is_relative_to(clean_environment.parents[1])
    assert missing == ["None", "None", "None"]


def test_the_wheel_brings_the_recipes_and_what_init_writes(
    clean_environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "pairs.tsv").write_text("a red apple\thttp://a.example/1.jpg\n")
    for words in (["init", "mine", "pairs.tsv"], ["validate", "mine"], ["validate", "demo"]):
        done = subprocess.run(
            [clean_environment.parent / "openalign", *words],
            cwd=tmp_path,
            env=environments.environment(clean_environment),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_two_processes_of_it_give_the_same_bytes(
    finished: Path, clean_environment: Path, tmp_path: Path
) -> None:
    with site_served(finished) as reached:
        settings = [f"root={tmp_path}/run", reached]
        for verb in VERBS:
            done = run_there(clean_environment, finished, verb, *TWO_PROCESSES, settings=settings)
            assert done.returncode == 0, done.stderr

    expected = content(finished.parent / "run")
    assert len(expected) > 25
    assert content(tmp_path / "run") == expected


def test_without_googles_libraries_the_command_that_installs_them_is_named(
    finished: Path, clean_environment: Path, tmp_path: Path
) -> None:
    settings = [f"root={tmp_path}/run"]
    done = run_there(clean_environment, finished, "harvest", *DATAFLOW, settings=settings)

    assert done.returncode == 2, done.stderr
    assert "is not installed" in done.stderr
    assert "hint: pip install 'openalign[dataflow]'" in done.stderr
