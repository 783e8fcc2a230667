"""Cases of what an image is: good, broken, a bomb, of another format, or none."""

import re

from openalign.files.states import FetchState
from openalign.hostile_web.case import Case
from openalign.hostile_web.made_images import (
    NO_IMAGES,
    UNDECODED,
    cut_jpeg,
    damaged_png,
    good,
    jpeg_of_many_scans,
    png_of_many_pixels,
    png_that_ends_early,
    png_with_long_text,
    turned_jpeg,
    webp_of_false_length,
)
from openalign.hostile_web.replies import Reply

_IMAGE_TYPE = ("Content-Type", "image/jpeg")


def good_cases() -> list[Case]:
    """Return cases of hosts that do nothing wrong."""
    formats = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
    return [
        *(
            _sends(f"good-{kind.lower()}", f"sends a good {kind}", good(kind), FetchState.FETCHED)
            for kind in formats
        ),
        Case(
            name="good-false-type",
            does="says `Content-Type: text/html` of a good image",
            image=Reply(body=good(), headers=[("Content-Type", "text/html")]),
        ),
        Case(name="good-no-type", does="says no Content-Type", image=Reply(body=good())),
        Case(
            name="good-in-pieces",
            does="sends the first byte of a good image alone",
            image=Reply(body=good(), headers=[_IMAGE_TYPE], pause_at=1),
        ),
    ]


def broken_cases() -> list[Case]:
    """Return cases of images that are damaged, too large, too small or odd."""
    end = good()[:-2]
    return [
        _sends("image-no-end", "sends a JPEG without its end marker", end, FetchState.FETCHED),
        _sends("image-turned", "sends a JPEG on its side", turned_jpeg(), FetchState.FETCHED),
        _sends(
            "image-long-text",
            "sends a PNG with 2 MB of packed text",
            png_with_long_text(),
            FetchState.FETCHED,
        ),
        _sends(
            "image-false-length",
            "sends a WebP that says it is longer than it is",
            webp_of_false_length(),
            FetchState.FETCHED,
        ),
        _sends(
            "image-many-scans",
            "sends a JPEG of a thousand scans",
            jpeg_of_many_scans(),
            FetchState.DECODE_FAILURE,
        ),
        _sends(
            "image-early-end",
            "sends a PNG whose data end after half its rows",
            png_that_ends_early(),
            FetchState.DECODE_FAILURE,
        ),
        _sends("image-cut", "sends half a JPEG", cut_jpeg(), FetchState.DECODE_FAILURE),
        _sends("image-damaged", "sends a damaged PNG", damaged_png(), FetchState.DECODE_FAILURE),
        _sends(
            "image-bomb",
            "sends a PNG of 10 kB with 2.5 billion pixels",
            png_of_many_pixels(),
            FetchState.TOO_MANY_PIXELS,
        ),
        _sends(
            "image-dot", "sends an image of one pixel", good("PNG", (1, 1)), FetchState.SHORT_SIDE
        ),
        _sends(
            "image-banner",
            "sends an image of 900 x 210 pixels",
            good("PNG", (900, 210)),
            FetchState.ASPECT_RATIO,
        ),
        _sends(
            "image-noise",
            "sends bytes that are nothing",
            b"\x80" * 600,
            FetchState.NOT_AN_IMAGE,
        ),
    ]


def format_cases() -> list[Case]:
    """Return a case for each format that is told and not decoded."""
    groups = (
        (UNDECODED, FetchState.UNDECODED_FORMAT),
        (NO_IMAGES, FetchState.NOT_AN_IMAGE),
    )
    return [
        _sends(_name(kind), f"sends {kind}", start.ljust(600, b" "), state)
        for formats, state in groups
        for kind, start in formats.items()
    ]


def _name(kind: str) -> str:
    return "format-" + re.sub(r"[^a-z0-9]+", "-", kind.lower())


def _sends(name: str, does: str, body: bytes, state: FetchState) -> Case:
    reply = Reply(body=body, headers=[_IMAGE_TYPE])
    return Case(name=name, does=does, image=reply, state=state)
