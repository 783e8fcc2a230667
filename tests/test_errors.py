"""Errors that a user can mend, and a full disk among them, whoever met it."""

import errno
import io
import os
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import torch

from openalign import cli
from openalign.errors import InputError, StageError, in_words, users_mistake
from openalign.train import stage_spec

NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def led_to(cause: Exception) -> Exception:
    """Return another error that a library raises for one."""
    error = RuntimeError("the writer failed")
    error.__cause__ = cause
    return error


def behind(error: Exception) -> Exception:
    """Return an error as what the handling of a full disk has raised."""
    error.__context__ = NO_SPACE
    return error


class FillsUp(io.BytesIO):
    """A file on a disk that has room for its beginning."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 1000:
            raise NO_SPACE
        return super().write(data)


def met_by_torch() -> Exception:
    """Return what `torch.save` raises where the disk fills up within its file."""
    with pytest.raises(RuntimeError, match="unexpected pos") as caught:
        torch.save(torch.zeros(1000), FillsUp())
    return caught.value


BEAMS = f"""Traceback (most recent call last):
OSError: {NO_SPACE}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
KeyError: 'held'
"""


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(NO_SPACE, id="the system's"),
        pytest.param(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), id="a quota"),
        pytest.param(OSError(errno.ENOSPC, "cannot write"), id="in other words"),
        pytest.param(RuntimeError(f"OSError: {NO_SPACE} [while running 'Write']"), id="Beam's"),
        pytest.param(
            ValueError(f"{os.strerror(errno.ENOSPC)} (os error {errno.ENOSPC})"), id="Rust's"
        ),
        pytest.param(RuntimeError(f"{NO_SPACE}".lower()), id="Arrow's"),
        pytest.param(led_to(NO_SPACE), id="a cause"),
        pytest.param(met_by_torch(), id="within an archive"),
        pytest.param(behind(FileNotFoundError(errno.ENOENT, "no such file")), id="behind it"),
    ],
)
def test_a_full_disk_can_be_mended_whoever_met_it(error: Exception) -> None:
    mistake = users_mistake(error)

    assert isinstance(mistake, StageError)
    assert str(mistake) == "a disk is full"
    assert mistake.hint is not None
    assert mistake.hint.endswith("the same command goes on from here")


def test_the_file_is_told_where_the_full_disk_names_it() -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/runs/part-0.parquet")
    cleaned = FileNotFoundError(errno.ENOENT, "no such file", "/data/gone")
    cleaned.__cause__ = NO_SPACE

    assert str(users_mistake(led_to(error))) == (
        "a disk is full: /data/runs/part-0.parquet could not be written"
    )
    assert str(users_mistake(cleaned)) == "a disk is full"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        ValueError(f"no number: '{os.strerror(errno.ENOSPC)}'"),  # an alt-text, say
        PermissionError(errno.EACCES, "no", "a"),
        OSError("cannot write"),
        behind(KeyError("held")),
        RuntimeError(BEAMS),
    ],
)
def test_other_errors_are_bugs(error: Exception) -> None:
    assert users_mistake(error) is None


def test_a_mistake_is_itself_and_has_its_hint_below() -> None:
    mistake = InputError("a.tar is broken", hint="fetch it again")

    assert users_mistake(mistake) is mistake
    assert in_words(mistake) == "error: a.tar is broken\n\nhint: fetch it again"
    assert in_words(InputError("a.tar is broken")) == "error: a.tar is broken"


def test_a_verb_that_fills_the_disk_ends_with_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(*_: object) -> int:
        raise NO_SPACE

    def read(_: Sequence[str]) -> Namespace:
        return Namespace(verb="fetch", do=fill)

    monkeypatch.setattr(cli.parsing, "read", read)

    assert cli.main(["fetch", "demo"]) == 2
    assert capsys.readouterr().err.startswith("error: a disk is full\n\nhint: make room")


class Spec(msgspec.Struct):
    """What a rank is told."""


def test_a_rank_that_fills_the_disk_ends_with_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(_: object) -> None:
        raise NO_SPACE

    def spec(_url: str, kind: type[Spec]) -> Spec:
        return kind()

    for name in ("end_with_starter", "set_up_logging"):
        monkeypatch.setattr(stage_spec, name, lambda: None)
    monkeypatch.setattr(stage_spec, "read_spec", spec)

    assert stage_spec.main_of_rank(["spec.json"], Spec, fill) == 2  # pyright: ignore[reportArgumentType]
    assert capsys.readouterr().err.startswith("error: a disk is full\n\nhint: make room")
