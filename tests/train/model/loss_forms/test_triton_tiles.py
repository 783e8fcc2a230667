import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_training import rank_environment


def errors_on(device: str, environment: dict[str, str]) -> dict[str, dict[str, float]]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("triton_checks.py")), device],
        env=rank_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton, which torch has with CUDA")
def test_the_kernels_have_the_loss_and_gradients_of_float64() -> None:
    """Interpreted, one program after the other; with and without smoothing and same images."""
    found = errors_on("cpu", {"TRITON_INTERPRET": "1"})

    assert len(found) == 4
    for name, errors in found.items():
        assert max(errors.values()) < 5e-6, (name, errors)


@pytest.mark.gpu
@pytest.mark.usefixtures("with_gpus")
@pytest.mark.skipif(
    not any(Path("/dev").glob("nvidia[0-9]*")), reason="needs an NVIDIA GPU of 2020 or later"
)
def test_the_kernels_on_a_gpu_have_the_loss_and_gradients_of_float64() -> None:
    """And the same bytes each time, and right offsets into matrices of many launches."""
    found = errors_on("cuda", {})

    assert len(found) == 5
    for name, errors in found.items():
        assert max(errors.values()) < 2e-5, (name, errors)
