"""The memory of a rank's data, in a process of its own, beside that for an index of few pairs."""

import json
from pathlib import Path

import memory_checks
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tiny_training import finish, start_ranks, tiny_config

from openalign.files.schemas import TRAINING
from openalign.files.training_index import write_training_index
from openalign.train.config import Validation

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

FEW, MANY = 4_000, 1_000_000


@pytest.fixture(scope="module")
def many_pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return written(tmp_path_factory.mktemp("many"), MANY)


@pytest.mark.parametrize("validation", [None, Validation(batches=64)], ids=["none", "validation"])
def test_a_rank_keeps_less_than_two_bytes_a_pair_for_itself(
    many_pairs: list[Path], tmp_path: Path, validation: Validation | None
) -> None:
    """And on the way there it has less than eight. Of the two bytes that it has for a while to find
    the other pairs of images that are held out, the allocator may keep some.
    """
    config = tiny_config(validation=validation)
    few_pairs = written(tmp_path / "few", FEW)
    job = (memory_checks.run, (few_pairs, many_pairs, config, str(tmp_path)))

    finish(start_ranks(job, num_ranks=1, folder=tmp_path))

    found = json.loads((tmp_path / "found.json").read_text())
    assert found["kept"] < 2 * MANY
    assert found["most"] < 8 * MANY


def written(folder: Path, num_pairs: int) -> list[Path]:
    """Write an index of two files, in which each two pairs have one image."""
    folder.mkdir(exist_ok=True)
    names = [f"training-0000{number}-of-00002.parquet" for number in range(2)]
    rows = np.arange(num_pairs // len(names))
    numbers, images = pa.array(rows), pa.array(rows // 2)
    texts: pa.StringArray = numbers.cast(pa.string())
    table = pa.Table.from_arrays(
        [
            pa.array(["shard-00000-00000.tar"]).take(pa.array(np.zeros_like(rows))),
            *(numbers, numbers),
            texts,
            pc.utf8_lpad(texts, 32, "0"),  # pyright: ignore[reportAttributeAccessIssue]
            images,
            pa.nulls(len(rows), pa.uint64()),
        ],
        schema=TRAINING,
    )
    return [folder / write_training_index(str(folder), name, table).name for name in names]
