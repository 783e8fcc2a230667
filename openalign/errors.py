"""Errors that a user can fix. The CLI prints them without a traceback and exits with 2.

    OpenAlignError
        ConfigError          a setting in pipelines.yaml or --set
        InputError           a table, site, shard or benchmark that cannot be used
        StageError           a stage that cannot start or has no result
        MissingExtraError    libraries that extras bring are not installed

Any other exception is a bug of OpenALIGN and keeps its traceback, but for a full disk, which is
told like a mistake whoever meets it (`users_mistake`).
"""

import errno
import re
from collections.abc import Sequence

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
"""What the system calls a disk that is full, and a quota that is used up."""

_IN_TEXT = re.compile(
    r"\[Errno {0}\]|\(os error {0}\)".format(f"({'|'.join(map(str, FULL_DISK))})"),
    re.IGNORECASE,
)
"""The same where an error of the system is text in another: Beam's, or one of a library in Rust."""

_TRACEBACK = "Traceback (most recent call last)"
"""What Beam's text says of each error that led to the last; only that one is told by it."""

_BUGS = (AssertionError, AttributeError, LookupError, NameError, TypeError)
"""Errors of a handler that have nothing to do with what it handled."""


class OpenAlignError(Exception):
    """A user's mistake: `message` says what is wrong and what is allowed, `hint` what to do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(OpenAlignError):
    """A setting is unknown, has the wrong type or contradicts another."""


class InputError(OpenAlignError):
    """An input of a stage cannot be used."""


class StageError(OpenAlignError):
    """A stage cannot start, or ended without output."""


class MissingExtraError(OpenAlignError):
    """Libraries are missing; the message names the one command that installs them."""

    def __init__(self, libraries: str | Sequence[str], extras: str | Sequence[str]) -> None:
        missing = [libraries] if isinstance(libraries, str) else list(libraries)
        brought_by = [extras] if isinstance(extras, str) else list(extras)
        super().__init__(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
            hint=f"pip install 'openalign[{','.join(brought_by)}]'",
        )


def is_full_disk(error: BaseException | None) -> bool:
    """Tell whether an error is, or was raised from, that of a disk that is full."""
    return _full_disk(error) is not None


def users_mistake(error: Exception) -> OpenAlignError | None:
    """Return an error as one that a user can mend, or None where it is a bug.

    A full disk is one: it is told with the file, where that is known.
    """
    if isinstance(error, OpenAlignError):
        return error
    if (full := _full_disk(error)) is None:
        return None
    name = full.filename if isinstance(full, OSError) else None
    return StageError(
        "a disk is full" + (f": {name} could not be written" if name else ""),
        hint="make room for `root` and for temporary files (`TMPDIR`), or name others; what is "
        "whole stays, and the same command goes on from here",
    )


def in_words(error: OpenAlignError) -> str:
    """Return what a user reads of an error: its message, and its hint if it has one."""
    return f"error: {error}" + (f"\n\nhint: {error.hint}" if error.hint else "")


def _full_disk(error: BaseException | None) -> BaseException | None:
    """Return the error that tells of a full disk, among an error and those that led to it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            is_full = error.errno in FULL_DISK
        else:
            is_full = _IN_TEXT.search(str(error).rpartition(_TRACEBACK)[2]) is not None
        if is_full:
            return error
        error = _led_to(error)
    return None


def _led_to(error: BaseException) -> BaseException | None:
    """Return what an error was raised from, or, unless it is a bug, what was handled meanwhile.

    `torch.save` ends its archive where a write has failed, and fails at that.
    """
    if error.__cause__ or error.__suppress_context__ or isinstance(error, _BUGS):
        return error.__cause__
    return error.__context__
