"""The benchmark of GPUs runs where there is none, so that it is ready where there is one."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks/train_gpu.py"


def test_a_dry_run_is_fed_from_shards() -> None:
    command = [sys.executable, str(SCRIPT), "--dry-run", "--contestants", "ours_fed"]
    done = subprocess.run(
        [*command, "--loss-pairs"], check=True, capture_output=True, text=True
    ).stdout

    line = r"^tiny +ours_fed +[\d.]+ pairs/s .* waits for data [\d.]+%$"
    assert re.search(line, done, re.MULTILINE)
