import subprocess
import sys

import pytest

HEAVY = ("torch", "apache_beam", "transformers", "deepspeed", "polars", "pyarrow", "rich")


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        pytest.param(
            "import openalign.cli as cli; cli.parsing.parser()", HEAVY, id="the command line"
        ),
        pytest.param("import openalign.run.config", (*HEAVY, "fsspec"), id="the settings"),
        pytest.param(
            "import openalign.run.runner",
            ("torch", "apache_beam", "transformers", "deepspeed"),
            id="the pipeline",
        ),
        pytest.param(
            "import openalign.ingest.harvest, openalign.ingest.fetch, "
            "openalign.filtering.text_filter, openalign.filtering.selection",
            ("torch", "transformers", "deepspeed"),
            id="the data stages",
        ),
        pytest.param(
            "import openalign.train.saved_files, openalign.evaluate.embedding.decodings",
            ("torch", "transformers", "numpy", "PIL"),
            id="the files of a model",
        ),
    ],
)
def test_nothing_heavy_is_imported_by(statement: str, refused: tuple[str, ...]) -> None:
    code = f"{statement}; import sys; print([m for m in {refused!r} if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip().splitlines()[-1] == "[]"
