"""Cases of statuses, pauses, redirects and encodings."""

import gzip
import zlib
from collections.abc import Callable
from textwrap import shorten

from openalign.files.states import FetchState
from openalign.hostile_web.case import DOMAIN, ELSEWHERE, GOOD, Case, Door
from openalign.hostile_web.made_images import (
    cut_jpeg,
    good,
    gzip_bomb,
    gzip_broken_inside,
    in_aws_chunks,
)
from openalign.hostile_web.replies import Reply

_DATE = "Thu, 26 Nov 2026 13:00:0{} GMT"


def status_cases() -> list[Case]:
    """Return a case for each kind of status."""
    ends = {
        FetchState.HTTP_UNEXPECTED: (101, 300, 304, 305, 999),
        FetchState.NOT_AN_IMAGE: (204,),
        FetchState.HTTP_GONE: (404, 410),
        FetchState.HTTP_CLIENT_ERROR: (400, 401, 403, 406, 418, 451),
        FetchState.HTTP_SERVER_ERROR: (408, 425, 429, 500, 502, 503, 504, 520),
    }
    always = [
        Case(
            name=f"status-{status}",
            does=f"answers {status}, always",
            state=state,
            image=Reply(status=status),
        )
        for state, statuses in ends.items()
        for status in statuses
    ]
    heals = [
        Case(
            name=f"status-{status}-heals",
            does=f"answers {status} {times}, then the image",
            image=[*[Reply(status=status)] * num, GOOD],
        )
        for status, num, times in ((429, 1, "once"), (500, 1, "once"), (503, 2, "twice"))
    ]
    return [*always, *heals]


def pause_cases() -> list[Case]:
    """Return cases of Retry-After."""
    wait_long = ("Retry-After", "36000")

    def waits(name: str, does: str, *headers: tuple[str, str]) -> Case:
        image = [Reply(status=429, headers=headers), GOOD]
        return Case(name=f"retry-after-{name}", does=does, image=image)

    return [
        waits("short", "answers 429, Retry-After: 1, then the image", ("Retry-After", "1")),
        waits(
            "date",
            "answers 429 with a Retry-After that is a date, a second after its own Date",
            ("Date", _DATE.format(0)),
            ("Retry-After", _DATE.format(1)),
        ),
        waits("word", "answers 429, Retry-After: soon, then the image", ("Retry-After", "soon")),
        Case(
            name="retry-after-long",
            does="answers 429, Retry-After: 36000",
            state=FetchState.HTTP_SERVER_ERROR,
            image=Reply(status=429, headers=[wait_long]),
            only_one=True,
        ),
        Case(
            name="retry-after-long-robots",
            does="answers 503, Retry-After: 36000 for robots.txt",
            state=FetchState.ASKED_TO_WAIT,
            robots=Reply(status=503, headers=[wait_long]),
        ),
    ]


def redirect_cases() -> list[Case]:
    """Return cases of redirects."""
    leads = [
        ("away", f"{ELSEWHERE}/there.jpg", FetchState.FETCHED),
        ("same-scheme", f"//good-jpeg.{DOMAIN}/there.jpg", FetchState.FETCHED),
        ("secure", f"https://good-https.{DOMAIN}/there.jpg", FetchState.FETCHED),
        ("loop", "/again.jpg", FetchState.TOO_MANY_REDIRECTS),
        ("bad-port", f"http://good-jpeg.{DOMAIN}:22/", FetchState.BAD_URL),
        ("ftp", f"ftp://good-jpeg.{DOMAIN}/there.jpg", FetchState.BAD_URL),
        ("file", "file:///etc/passwd", FetchState.BAD_URL),
        ("script", "javascript:alert(1)", FetchState.BAD_URL),
        ("password", f"http://me:secret@good-jpeg.{DOMAIN}/there.jpg", FetchState.BAD_URL),
        ("private-ipv4", "http://10.0.0.1/there.jpg", FetchState.PRIVATE_ADDRESS),
        ("private-number", "http://167772161/there.jpg", FetchState.PRIVATE_ADDRESS),
        ("private-ipv6", "http://[::1]/there.jpg", FetchState.PRIVATE_ADDRESS),
        ("private-mapped", "http://[::ffff:10.0.0.1]/there.jpg", FetchState.PRIVATE_ADDRESS),
        ("metadata", "http://169.254.169.254/latest/meta-data", FetchState.PRIVATE_ADDRESS),
        ("dead-name", "http://nobody.invalid/there.jpg", FetchState.DNS_FAILURE),
        ("unknown-name", f"http://name-unknown.{DOMAIN}/there.jpg", FetchState.DNS_FAILURE),
        ("private-name", f"http://name-private.{DOMAIN}/there.jpg", FetchState.PRIVATE_ADDRESS),
        ("disallowed", f"http://robots-all.{DOMAIN}/there.jpg", FetchState.ROBOTS_DENIED),
    ]
    plain = [
        Case(
            name=f"redirect-{name}",
            does=f"answers 302 to `{target}`",
            state=state,
            image=_redirect(target),
        )
        for name, target, state in leads
    ]
    return [*plain, *_odd_redirects()]


def _odd_redirects() -> list[Case]:
    return [
        Case(
            name="redirect-utf8",
            does="answers 302 to a path with bytes of UTF-8 in it",
            image=_only_at(
                "/gr%C3%B6%C3%9Fe.jpg", _redirect("/größe.jpg".encode().decode("latin-1"))
            ),
        ),
        Case(
            name="redirect-utf8-end",
            does="answers 302 to a path that ends in a character of UTF-8",
            image=_only_at("/voil%C3%A0", _redirect("/voilà".encode().decode("latin-1"))),
        ),
        Case(
            name="redirect-latin1",
            does="answers 302 to a path with a byte of Latin-1 in it",
            image=_only_at("/caf%E9.jpg", _redirect("/café.jpg")),
        ),
        Case(
            name="redirect-spaces",
            does="answers 302 to a path with spaces in it",
            image=_only_at("/a%20b.jpg", _redirect("/a b.jpg")),
        ),
        Case(
            name="redirect-five",
            does="answers 302 five times, then the image",
            image=lambda path: GOOD if path == "/+++++" else _redirect(f"/+{_plus(path)}"),
        ),
        Case(
            name="redirect-six",
            does="answers 302 six times, then the image",
            state=FetchState.TOO_MANY_REDIRECTS,
            image=lambda path: GOOD if path == "/++++++" else _redirect(f"/+{_plus(path)}"),
        ),
        Case(
            name="redirect-nowhere",
            does="answers 302 without a Location",
            state=FetchState.BAD_URL,
            image=Reply(status=302),
        ),
        Case(
            name="redirect-insecure",
            does="answers 302 over TLS to an address without it",
            scheme="https",
            door=Door.HTTPS,
            image=_redirect(f"{ELSEWHERE}/there.jpg"),
        ),
    ]


def _plus(path: str) -> str:
    return "+" * path.count("+")


def _redirect(target: str) -> Reply:
    return Reply(status=302, headers=[("Location", target)])


def _only_at(path: str, otherwise: Reply) -> Callable[[str], Reply]:
    """Return answers that have the image at one path, where a right client ends."""

    def answer(asked: str) -> Reply:
        if asked == path:
            return GOOD
        return otherwise if asked.endswith(".jpg") and asked[1:-4].isdigit() else Reply(status=404)

    return answer


def encoding_cases() -> list[Case]:
    """Return cases of Content-Encoding."""
    import brotli
    import zstandard

    image = good("BMP")
    raw_deflate = zlib.compressobj(wbits=-15)
    bodies = [
        ("gzip", "gzip", gzip.compress(image)),
        ("deflate", "deflate", zlib.compress(image)),
        ("raw-deflate", "deflate", raw_deflate.compress(image) + raw_deflate.flush()),
        ("brotli", "br", brotli.compress(image)),
        ("zstd", "zstd", zstandard.compress(image)),
        ("twice", "gzip, gzip", gzip.compress(gzip.compress(image))),
        ("aws-chunked", "aws-chunked", in_aws_chunks(image)),
        ("two-thousand", ", ".join(["gzip"] * 2_000), image),
        ("unknown", "rot13", image),
        ("charset", "UTF-8", image),
        ("binary", "binary", image),
        ("media-type", "image/jpeg", image),
        ("false-gzip", "gzip", image),
        ("false-brotli", "br", image),
        ("false-aws-chunked", "aws-chunked", image),
        ("cut-gzip", "gzip", gzip.compress(cut_jpeg())[:-8], FetchState.DECODE_FAILURE),
        ("broken-gzip", "gzip", gzip_broken_inside(), FetchState.TRUNCATED),
        ("bomb", "gzip", gzip_bomb(), FetchState.TOO_LARGE),
    ]
    words = {
        "cut-gzip": "half an image, packed, without the end of the packing",
        "broken-gzip": "a packed image whose packing breaks in its middle",
        "bomb": "64 kB that unpack to 64 MB",
    }
    return [
        Case(
            name=f"encoding-{name}",
            does=f"says `Content-Encoding: {shorten(said, 40, placeholder=' ...')}` of "
            + words.get(name, "an image that is not" if body is image else "an image that is"),
            state=state[0] if state else FetchState.FETCHED,
            image=Reply(body=body, headers=[("Content-Encoding", said)]),
            is_costly=name == "bomb",
        )
        for name, said, body, *state in bodies
    ]
