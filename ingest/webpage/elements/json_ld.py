"""The images that a page describes in JSON-LD, by the words of schema.org: `ImageObject`."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from openalign.files.states import FoundIn
from openalign.ingest.webpage.addresses.image_address import Offer
from openalign.ingest.webpage.cost.budget import require_readable
from openalign.ingest.webpage.texts import collapse

MAX_DEPTH = 64
"""Lists and objects in one another; data that are nested deeper are not read."""

# A text that does not end goes to the end of the data, so that no search begins anew in it.
_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|([\[{])|([\]}])', re.DOTALL)
_VOCABULARY = re.compile(r"(?:https?://schema\.org/|schema:)")
_SURROGATE = re.compile("[\ud800-\udfff]")

_ADDRESSES = ("contentUrl", "url")
_TEXTS = {
    "caption": FoundIn.JSON_LD_CAPTION,
    "description": FoundIn.JSON_LD_DESCRIPTION,
    "name": FoundIn.JSON_LD_NAME,
}


class DescribedImage(NamedTuple):
    """An image with the first of its caption, description and name."""

    offers: list[Offer]
    text: str
    place: FoundIn


def described_images(text: str) -> Iterator[DescribedImage]:
    """Yield the images that a script's JSON-LD describes; what is not JSON describes none.

    An image is an object of the type `ImageObject`, or one without a type that is the value of
    `image`. Those without a text are left out.

    Raises:
        PageTooComplexError: the data have more lists and objects than a page's budget has elements.
    """
    num_objects = text.count("[") + text.count("{")
    require_readable(num_objects)
    if num_objects > MAX_DEPTH and _is_too_deep(text):
        return
    try:
        # Line ends within texts are common, though JSON has none.
        data = json.loads(text, strict=False)
    except ValueError:
        return
    waiting: list[tuple[Any, str]] = [(data, "")]
    while waiting:
        value, key = waiting.pop()
        if isinstance(value, list):
            items = cast("list[Any]", value)
            waiting.extend((item, key) for item in reversed(items))
        elif isinstance(value, dict):
            entry = cast("dict[str, Any]", value)
            if _is_image(entry, key):
                yield from _described(entry)
            waiting.extend((inner, key) for key, inner in reversed(entry.items()))


def _is_too_deep(text: str) -> bool:
    depth = deepest = 0
    for bracket in _BRACKETS.finditer(text):
        depth += (bracket[1] is not None) - (bracket[2] is not None)
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH


def _is_image(entry: dict[str, Any], key: str) -> bool:
    types = entry.get("@type")
    if types is None:
        return key == "image"
    listed = cast("list[Any]", types) if isinstance(types, list) else [types]
    return any(isinstance(t, str) and _VOCABULARY.sub("", t) == "ImageObject" for t in listed)


def _described(entry: dict[str, Any]) -> Iterator[DescribedImage]:
    for key, place in _TEXTS.items():
        if text := collapse(_first_text(entry.get(key), "@value")):
            offers = [
                Offer(address, key)
                for key in _ADDRESSES
                if (address := _first_text(entry.get(key), "@id"))
            ]
            yield DescribedImage(offers, text, place)
            return


def _first_text(value: Any, key: str) -> str:
    """Return a value as text: itself, the first of a list, or what an object has under `key`."""
    if isinstance(value, list) and value:
        value = cast("list[Any]", value)[0]
    if isinstance(value, dict):
        value = cast("dict[str, Any]", value).get(key)
    # JSON can spell halves of characters, which are none.
    return _SURROGATE.sub("\ufffd", value) if isinstance(value, str) else ""
