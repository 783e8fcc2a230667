"""Cases of hosts that keep images to themselves, and of those that only seem to."""

from openalign.files.states import FetchState
from openalign.hostile_web.case import DOMAIN, ELSEWHERE, GOOD, Answers, Case
from openalign.hostile_web.made_images import good
from openalign.hostile_web.replies import Reply

_DENIED = FetchState.ROBOTS_DENIED
_WITHHELD = FetchState.OPTED_OUT
_FETCHED = FetchState.FETCHED
_RULES_BYTES = 512_000
"""As much of a robots.txt is read (`robots.MAX_ROBOTS_BYTES`)."""


def header_cases() -> list[Case]:
    """Return cases of headers of an image."""
    robots = [
        ("noai", "noai", _WITHHELD),
        ("noimageai", "noimageai", _WITHHELD),
        ("noindex", "noindex, nofollow", _WITHHELD),
        ("noimageindex", "noimageindex", _WITHHELD),
        ("noml", "noml", _WITHHELD),
        ("none", "NONE", _WITHHELD),
        ("ours", "OpenALIGN: noai", _WITHHELD),
        ("our-version", "OpenALIGN/0.1.0: noindex", _WITHHELD),
        ("past", "unavailable_after: 25 Jun 2020 15:00:00 PST", _WITHHELD),
        ("future", "unavailable_after: 2090-01-01", _FETCHED),
        ("other-agent", "otherbot: noai, noindex", _FETCHED),
        ("follow", "nofollow, max-image-preview: large", _FETCHED),
    ]
    others = [
        ("tdm", "TDM-Reservation", "1", _WITHHELD),
        ("tdm-none", "TDM-Reservation", "0", _FETCHED),
        ("usage", "Content-Usage", "train-ai=n", _WITHHELD),
        ("usage-allows", "Content-Usage", "train-ai=y", _FETCHED),
        ("signal", "Content-Signal", "search=yes, ai-train=no", _WITHHELD),
        ("signal-allows", "Content-Signal", "ai-train=yes", _FETCHED),
    ]
    named = [
        *((f"tag-{name}", "X-Robots-Tag", value, state) for name, value, state in robots),
        *((f"header-{name}", header, value, state) for name, header, value, state in others),
    ]
    return [
        Case(
            name=f"opt-out-{name}",
            does=f"sends `{header}: {value}`",
            state=state,
            image=Reply(body=good(), headers=[(header, value)]),
        )
        for name, header, value, state in named
    ]


def robots_cases() -> list[Case]:
    """Return cases of what robots.txt says."""
    rules = [
        ("all", "User-agent: *\nDisallow: /", _DENIED),
        ("ours", "User-agent: OpenALIGN\nDisallow: /", _DENIED),
        ("our-version", "User-agent: OpenALIGN/0.1.0\nDisallow: /", _DENIED),
        ("pattern", "User-agent: *\nDisallow: /*.jpg$", _DENIED),
        (
            "delay-between",
            "User-agent: a\nCrawl-delay: 1\nUser-agent: OpenALIGN\nDisallow: /",
            _DENIED,
        ),
        ("misspelt", "Useragent: *\nDissallow: /", _DENIED),
        ("prefix", "User-agent: open\nDisallow: /", _FETCHED),
        ("other-agent", "User-agent: otherbot\nDisallow: /", _FETCHED),
        ("allow-longer", "User-agent: *\nDisallow: /\nAllow: /*.jpg", _FETCHED),
        ("empty-rule", "User-agent: *\nDisallow:", _FETCHED),
        ("signal", "User-agent: *\nContent-Signal: ai-train=no\nAllow: /", _WITHHELD),
        ("signal-allows", "User-agent: *\nContent-Signal: ai-train=yes\nAllow: /", _FETCHED),
        ("usage", "User-agent: *\nContent-Usage: train-ai=n\nAllow: /", _WITHHELD),
        ("usage-elsewhere", "User-agent: *\nContent-Usage: /art train-ai=n", _FETCHED),
    ]
    return [
        Case(
            name=f"robots-{name}",
            does=f"has a robots.txt: `{text}`".replace("\n", "`, `"),
            state=state,
            robots=Reply(body=text.encode()),
        )
        for name, text, state in rules
    ]


def robots_answer_cases() -> list[Case]:
    """Return cases of how robots.txt is answered."""
    deny = "User-agent: *\nDisallow: /"
    filling = "# nothing\n" * (_RULES_BYTES // 10)
    # The limit cuts behind the slash: as it stands there, the rule would be for all paths.
    start = "User-agent: *\n"
    cut = f"{start}#{'x' * (_RULES_BYTES - len(start) - len('#Disallow: /') - 1)}\n"

    def rules(name: str, does: str, state: FetchState, robots: Answers) -> Case:
        return Case(name=f"robots-{name}", does=does, state=state, robots=robots)

    def moved(name: str, does: str, state: FetchState, target: str) -> Case:
        location = [("Location", target)]
        return rules(name, does, state, Reply(status=301, headers=location))

    return [
        rules("403", "answers 403 for robots.txt", _FETCHED, Reply(status=403)),
        rules("429", "answers 429 for robots.txt", _DENIED, Reply(status=429)),
        rules("503", "answers 503 for robots.txt", _DENIED, Reply(status=503)),
        rules(
            "503-heals",
            "answers 503 for robots.txt once",
            _FETCHED,
            [Reply(status=503), Reply(status=404)],
        ),
        moved("moved", "answers 301 to rules that allow all", _FETCHED, f"{ELSEWHERE}/robots.txt"),
        moved(
            "moved-denies",
            "answers 301 to rules of another host that disallow all",
            _DENIED,
            f"http://robots-all.{DOMAIN}/robots.txt",
        ),
        moved("loop", "answers 301 for robots.txt, always", _FETCHED, "/robots.txt"),
        rules("html", "sends a page for robots.txt", _FETCHED, Reply(body=b"<html>Hi</html>")),
        rules(
            "cut",
            "sends a robots.txt whose 512,000 bytes end within a rule",
            _FETCHED,
            Reply(body=f"{cut}Disallow: /nothing-here".encode()),
        ),
        rules(
            "long",
            "sends a robots.txt of 1 MB that begins with its rules",
            _DENIED,
            Reply(body=f"{deny}\n{filling}{filling}".encode()),
        ),
        rules(
            "late",
            "sends a robots.txt with its rules behind the first 512,000 bytes",
            _FETCHED,
            Reply(body=f"{filling}{deny}".encode()),
        ),
        rules(
            "mark", "begins robots.txt with a byte order mark", _DENIED, Reply(body=_marked(deny))
        ),
    ]


def _marked(text: str) -> bytes:
    return b"\xef\xbb\xbf" + text.encode()


def tdmrep_cases() -> list[Case]:
    """Return cases of tdmrep.json."""
    everywhere = b'[{"location": "/", "tdm-reservation": 1}]'
    files = [
        ("all", everywhere, _WITHHELD),
        ("pattern", b'[{"location": "/*.jpg", "tdm-reservation": 1}]', _WITHHELD),
        ("no-brackets", everywhere[1:-1], _WITHHELD),
        ("quoted", b'[{"location": "/", "tdm-reservation": "1"}]', _WITHHELD),
        ("none", b'[{"location": "/", "tdm-reservation": 0}]', _FETCHED),
        ("elsewhere", b'[{"location": "/art/", "tdm-reservation": 1}]', _FETCHED),
        ("html", b"<html>Hi</html>", _FETCHED),
    ]
    return [
        *(
            Case(
                name=f"tdmrep-{name}",
                does=f"has a tdmrep.json: `{text.decode()}`",
                state=state,
                tdmrep=Reply(body=text),
            )
            for name, text, state in files
        ),
        Case(
            name="tdmrep-503",
            does="answers 503 for tdmrep.json",
            tdmrep=Reply(status=503),
            image=GOOD,
        ),
    ]
