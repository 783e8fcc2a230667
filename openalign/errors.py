"""Errors that a user can fix. The CLI prints them without a traceback and exits with 2.

    OpenAlignError
        ConfigError          a setting in pipelines.yaml or --set
        InputError           a table, site, shard or benchmark that cannot be used
        StageError           a stage that cannot start or has no result
        MissingExtraError    libraries that extras bring are not installed

Any other exception is a bug of OpenALIGN and keeps its traceback.
"""

import errno
import os
from collections.abc import Generator, Sequence

_FULL_DISK = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))
"""What an error says that means one: libraries hand on the words, and seldom the number."""


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


def chain(error: BaseException | None) -> Generator[BaseException]:
    """Yield an error and those that led to it, the last first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_full_disk(error: BaseException | None) -> bool:
    """Tell whether an error comes from a disk that is full, or from a quota that is used up."""
    return any(words in str(found) for found in chain(error) for words in _FULL_DISK)


def users_mistake(error: Exception) -> OpenAlignError | None:
    """Return an error as one that a user can mend, or None where it is a bug.

    A full disk is one: whichever library met it, it is told with the file, where that is known.
    """
    if isinstance(error, OpenAlignError):
        return error
    if not is_full_disk(error):
        return None
    names = [found.filename for found in chain(error) if isinstance(found, OSError)]
    where = next((f": {name} could not be written" for name in names if name), "")
    return StageError(
        f"a disk is full{where}",
        hint="make room for `root` and for temporary files (`TMPDIR`), or name others; what is "
        "whole stays, and the same command goes on from here",
    )


def in_words(error: OpenAlignError) -> str:
    """Return what a user reads of an error: its message, and its hint if it has one."""
    return f"error: {error}" + (f"\n\nhint: {error.hint}" if error.hint else "")
