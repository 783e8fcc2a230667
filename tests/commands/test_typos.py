"""What the command line says to words that it does not know, and to a shell that asks it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from openalign import cli


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main(list(words))
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["harvets", "demo"], "error: there is no `harvets`\n\nhint: did you mean `harvest`?"),
        (["demo"], "there is no `demo`\n\nhint: did you mean `openalign run demo`?"),
        (["qqq"], "error: there is no `qqq`\n\nhint: there are: run, harvest,"),
        (["doctor", "--runner", "sprk"], "there is no `sprk`\n\nhint: did you mean `spark`?"),
        (["train", "demo", "--sett", "a=1"], "unrecognized arguments: --sett a=1; did you mean"),
        (["filter", "demo", "--qqqqq"], "--qqqqq; Beam's own options stand behind `--`"),
        (["train", "demo", "--qqqqq"], "--qqqqq; openalign train --help says what it takes"),
        (["train", "demo", "--processes", "2"], "did you mean --set train.num_processes=2?"),
        (["train", "demo", "--lr=1e-3"], "mean --set train.optimizer.learning_rate=1e-3?"),
        (["run", "demo", "--limit", "2"], "did you mean --set fetch.limit=2?"),
        (["show", "demo", "fetch", "--stat"], "--stat; openalign show --help says what it takes"),
        (["show", "demo", "fetch", "-q"], "-q; openalign show --help says what it takes"),
        (["filter", "demo", "-limit"], "-limit; did you mean --set fetch.limit=VALUE?"),
        (["--qqqqq"], "--qqqqq; flags stand behind a verb"),
        (["init", "my", "pairs", "a.tsv"], "marks: openalign init my-pairs a.tsv"),
        (["help"], "error: there is no `help`\n\nhint: did you mean `openalign --help`?"),
        (["version"], "error: there is no `version`\n\nhint: did you mean `openalign -V`?"),
        (["fetch", "--retry", "demo"], "; its name stands before --retry"),
        (["status"], "error: no pipeline is named\n\nhint: there are: align, demo,"),
        (["--json", "status", "demo"], "arguments: --json; it stands behind `status`"),
        (["run", "demo", "--set", "train.seed", "3"], "3; did you mean --set train.seed=3?"),
        (["run", "demo", "--set", "train.seed", "=", "3"], "did you mean --set train.seed=3?"),
        (["run", "demo", "--train.seed=3"], "did you mean --set train.seed=3?"),
        (["run", "demo", "--train.seed", "3"], "did you mean --set train.seed=3?"),
        (["run", "demo", "--dry-run"], "makes nothing: openalign filter demo -- --dry_run=True"),
        (["fetch", "demo", "--dry_run=True"], "openalign fetch demo -- --dry_run=True"),
        (["train", "demo", "--dry-run"], "openalign filter demo -- --dry_run=True"),
    ],
)
def test_a_typo_gets_what_was_probably_meant(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert said in refusal(capsys, *words)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("train.lr=1e-3", "train.optimizer.learning_rate"),
        ("lr=1e-3", "train.optimizer.learning_rate"),
        ("train.wd=0", "train.optimizer.weight_decay"),
        ("train.batch_size=64", "train.global_batch_size"),
        ("train.warmup=10", "train.schedule.warmup_steps"),
        ("train.gradient_accumulation_steps=4", "train.block_size"),
        ("train.accum_freq=4", "train.block_size"),
        ("train.pretrained=hf://kakaobrain/align-base", "train.init_from"),
        ("demo.train.seed=3", "train.seed"),
        ("demo.train.lr=1e-3", "train.optimizer.learning_rate"),
    ],
)
def test_a_setting_by_its_usual_name_gets_its_whole_key(
    capsys: pytest.CaptureFixture[str], override: str, key: str
) -> None:
    assert cli.main(["validate", "demo", "--set", override]) == 2
    assert f"hint: did you mean `{key}`?\n" in capsys.readouterr().err


def test_an_answer_that_nobody_reads_to_its_end_is_no_mistake() -> None:
    code = "import time; from openalign.cli import entry; time.sleep(1); entry()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "datasets"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        assert command.stderr.read() == b""
        assert command.wait() == 0


def test_without_a_verb_the_way_on_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "start with:\n  openalign run demo" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    assert "openalign" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("openalign sta", {"status"}),
        ("openalign run de", {"demo"}),
        ("openalign run mi", {"mine"}),
        ("openalign explain filter.text.min_", {"filter.text.min_unigrams"}),
        ("openalign show demo har", {"harvest"}),
        ("openalign completion zs", {"zsh"}),
        ("openalign run demo --set train.see", {"train.seed="}),
        ("openalign datasets check a --set synse", {"synsets="}),
        ("openalign run demo --set evaluate.tasks", {"evaluate.tasks="}),
        (
            "openalign run demo --set train.optimizer.be",
            {f"train.optimizer.beta{n}=" for n in "12"},
        ),
    ],
)
def test_a_word_is_completed(tmp_path: Path, line: str, expected: set[str]) -> None:
    (tmp_path / "pipelines.yaml").write_text("mine: {extends: demo}\n")
    found = tmp_path / "found"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(found),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
    }
    code = "import sys; from openalign.cli import entry; sys.argv = ['openalign']; entry()"
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, **asked}, check=True
    )

    assert {word.strip() for word in found.read_text().split("\n")} == expected
