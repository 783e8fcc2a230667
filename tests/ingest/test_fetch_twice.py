"""Two attempts at one shard: each may lose other images, and both write under the same names."""

import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from faulty_web import SITE, Reply, Web, serve
from fetches import bytes_of, config_of, image, rows_of, run
from patience import wait_for

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.hashing import image_key
from openalign.files.tables import write_table
from openalign.ingest.fetching.ledger_files import check_part

NUM_IMAGES = 10
"""Of one host, 7 a shard: 7 and 3."""

BY_KEY = sorted((f"{SITE}/{n}.png" for n in range(NUM_IMAGES)), key=image_key)
LOST = BY_KEY[8].removeprefix(SITE)
"""Of the second shard, which holds three images: what only one of two attempts is given."""


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({f"/{n}.png": image(n) for n in range(NUM_IMAGES)}) as running:
        yield running


@pytest.fixture
def attempts(web: Web, tmp_path: Path) -> tuple[Path, Path]:
    """Return the results of a whole fetch and of one that lost an image."""
    run(config_of(web), rows_of([SITE], NUM_IMAGES), tmp_path / "whole")
    found = web.routes[LOST]
    web.routes[LOST] = Reply(status=503)
    run(config_of(web), rows_of([SITE], NUM_IMAGES), tmp_path / "lost")
    web.routes[LOST] = found
    web.asked.clear()
    return tmp_path / "whole", tmp_path / "lost"


def second_shard(folder: Path, suffix: str) -> Path:
    [_, path] = sorted(path for path in folder.iterdir() if path.name.endswith(suffix))
    return path


def put(suffix: str, source: Path, target: Path) -> None:
    """Copy one file of the second shard over another attempt's."""
    write_as_an_attempt(second_shard(source, suffix), second_shard(target, suffix))


def write_as_an_attempt(source: Path, target: Path) -> None:
    """Copy a file as the stage writes its own: whoever reads meanwhile finds all of it or none."""
    storage.write_bytes(str(target), source.read_bytes())


def part_of(folder: Path) -> str:
    """Return the Part of the second shard's attempt, as the fetch job had it."""
    [_, line] = sorted((folder / "work" / "fetched.jsonl").read_text().splitlines(), key=_names)
    return line


def _names(line: str) -> list[str]:
    return sorted(entry["name"] for entry in json.loads(line)["files"])


def _is_ledger(path: Path) -> bool:
    """Put ledgers last, behind the files that they name."""
    return path.name.startswith("ledger-")


TAR, INDEX = ".tar", ".index.parquet"


@pytest.mark.parametrize("foreign", [(TAR,), (INDEX,), (TAR, INDEX)], ids=["tar", "index", "both"])
def test_a_shard_with_files_of_another_attempt_is_fetched_again(
    web: Web, tmp_path: Path, attempts: tuple[Path, Path], foreign: tuple[str, ...]
) -> None:
    whole, lost = attempts
    for suffix in foreign:
        put(suffix, lost, whole)
    mixed = bytes_of(whole)

    run(config_of(web), rows_of([SITE], NUM_IMAGES), whole)

    run(config_of(web), rows_of([SITE], NUM_IMAGES), tmp_path / "undisturbed")
    assert bytes_of(whole) == bytes_of(tmp_path / "undisturbed") != mixed
    assert web.asked.total() == 3 + 1 + NUM_IMAGES + 1  # the second shard, all; robots.txt twice


def test_a_tar_of_the_same_size_is_told_from_the_ledgers_own(
    web: Web, attempts: tuple[Path, Path]
) -> None:
    whole, _ = attempts
    before = bytes_of(whole)
    tar = second_shard(whole, TAR)
    tar.write_bytes(tar.read_bytes().replace(b"cat", b"dog"))
    size = tar.stat().st_size

    with pytest.raises(StageError, match=rf"{tar.name} was written over by a second attempt"):
        check_part(part_of(whole), output=str(whole))
    run(config_of(web), rows_of([SITE], NUM_IMAGES), whole)

    assert size == len(before[tar.name])
    assert bytes_of(whole) == before


@pytest.mark.parametrize("suffix", [TAR, INDEX])
def test_a_shard_that_misses_a_file_is_fetched_again(
    web: Web, attempts: tuple[Path, Path], suffix: str
) -> None:
    whole, _ = attempts
    before = bytes_of(whole)
    path = second_shard(whole, suffix)
    path.unlink()

    with pytest.raises(StageError, match="written over"):
        check_part(part_of(whole), output=str(whole))
    run(config_of(web), rows_of([SITE], NUM_IMAGES), whole)

    assert bytes_of(whole) == before


def test_a_tar_beside_a_ledger_that_names_none_does_not_stay(web: Web, tmp_path: Path) -> None:
    rows = rows_of([SITE], 1)
    run(config_of(web), rows, tmp_path / "there")
    web.routes["/0.png"] = Reply(status=404)
    run(config_of(web), rows, tmp_path / "gone")
    before = bytes_of(tmp_path / "gone")
    [tar] = (tmp_path / "there").glob("*.tar")
    shutil.copy(tar, tmp_path / "gone")

    run(config_of(web), rows, tmp_path / "gone")

    assert bytes_of(tmp_path / "gone") == before


def test_a_ledger_that_names_no_files_is_not_trusted(web: Web, attempts: tuple[Path, Path]) -> None:
    whole, _ = attempts
    before = bytes_of(whole)
    [_, ledger] = sorted(whole.glob("ledger-*"))
    table = pq.read_table(ledger)
    write_table(str(whole), ledger.name, table.replace_schema_metadata(None))

    run(config_of(web), rows_of([SITE], NUM_IMAGES), whole)

    assert bytes_of(whole) == before
    assert web.asked.total() == 3 + 1


@pytest.mark.parametrize("kept", [0, 0.1, 0.5, 0.99])
def test_a_shard_with_a_damaged_ledger_is_fetched_again(
    web: Web, attempts: tuple[Path, Path], kept: float
) -> None:
    whole, _ = attempts
    before = bytes_of(whole)
    [_, ledger] = sorted(whole.glob("ledger-*"))
    content = ledger.read_bytes()
    ledger.write_bytes(content[: int(kept * len(content))])

    run(config_of(web), rows_of([SITE], NUM_IMAGES), whole)

    assert bytes_of(whole) == before


def test_what_another_attempt_ended_with_meanwhile_is_kept(
    web: Web, tmp_path: Path, attempts: tuple[Path, Path]
) -> None:
    whole, _ = attempts
    late = tmp_path / "late"

    def end_the_other(handler: BaseHTTPRequestHandler) -> Reply:
        for path in sorted(whole.iterdir(), key=_is_ledger):
            if path.is_file():
                write_as_an_attempt(path, late / path.name)
        return Reply(status=404)

    web.routes[LOST] = end_the_other
    result = run(config_of(web), rows_of([SITE], NUM_IMAGES), late)

    assert bytes_of(late) == bytes_of(whole)
    assert result.num_outputs == len(rows_of([SITE], NUM_IMAGES))


def test_a_tar_that_is_written_over_while_the_job_goes_on_fails_it_and_the_next_run_mends_it(
    web: Web, tmp_path: Path, attempts: tuple[Path, Path]
) -> None:
    whole, lost = attempts
    [first, _] = sorted(lost.glob("*.tar"))
    first.write_bytes(first.read_bytes().replace(b"cat", b"dog"))
    answer = web.routes[LOST]
    assert isinstance(answer, Reply)

    def write_over(handler: BaseHTTPRequestHandler) -> Reply:
        wait_for(lambda: any((tmp_path / "late").glob("ledger-*")), "the first shard's end")
        write_as_an_attempt(first, tmp_path / "late" / first.name)
        return answer

    web.routes[LOST] = write_over
    with pytest.raises(StageError, match=rf"{first.name} was written over"):
        run(config_of(web), rows_of([SITE], NUM_IMAGES), tmp_path / "late")
    web.routes[LOST] = answer
    run(config_of(web), rows_of([SITE], NUM_IMAGES), tmp_path / "late")

    assert bytes_of(tmp_path / "late") == bytes_of(whole)


def test_a_part_whose_files_are_there_passes(attempts: tuple[Path, Path]) -> None:
    whole, _ = attempts

    assert check_part(part_of(whole), output=str(whole)) == part_of(whole)


def test_one_attempts_part_does_not_pass_with_the_files_of_another(
    attempts: tuple[Path, Path],
) -> None:
    whole, lost = attempts

    with pytest.raises(StageError, match="written over") as caught:
        check_part(part_of(whole), output=str(lost))

    assert "fetches this shard again" in str(caught.value.hint)
