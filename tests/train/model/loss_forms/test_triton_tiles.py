import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_training import rank_environment


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton, which torch has with CUDA")
def test_the_kernels_have_the_loss_and_gradients_of_float64() -> None:
    """Interpreted, one program after the other; with and without smoothing and same images."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("triton_checks.py"))],
        env=rank_environment() | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    cases = json.loads(done.stdout)
    assert len(cases) == 4
    for errors in cases:
        assert max(errors.values()) < 5e-6, errors
