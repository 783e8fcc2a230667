"""Errors that a user can fix. The CLI prints them without a traceback and exits with 2.

    OpenAlignError
        ConfigError          a setting in pipelines.yaml or --set
        InputError           a table, site, shard or benchmark that cannot be used
        StageError           a stage that cannot start or has no result
        MissingExtraError    libraries that extras bring are not installed

Any other exception is a bug of OpenALIGN and keeps its traceback.
"""

from collections.abc import Sequence


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
