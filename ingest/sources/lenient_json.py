"""JSON as Python's `json` writes it too, with values that the standard has not."""

import json
from typing import TypeVar

import msgspec

T = TypeVar("T")


def decode(text: bytes | str, decoder: msgspec.json.Decoder[T]) -> T:
    """Return a value; NaN and infinities are null, and half of a surrogate pair is U+FFFD.

    Raises:
        msgspec.DecodeError: it is no JSON, of another type, or nested too deeply.
    """
    try:
        try:
            return decoder.decode(text)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            if (standard := _as_standard(text)) is None:
                raise
            return decoder.decode(standard)
    except RecursionError as error:
        raise msgspec.DecodeError("its lists and objects are nested too deeply") from error


def _as_standard(text: bytes | str) -> str | None:
    """Return JSON that Python reads as the standard has it; None where Python does not either."""
    try:
        value: object = json.loads(text, parse_constant=lambda _: None)
    except ValueError:
        return None
    written = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return written.decode("utf-16-le", "replace")
