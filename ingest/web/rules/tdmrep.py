"""Text and data mining that an origin reserves in a file: tdmrep.json of the W3C's TDMRep. Pure.

The file is an array of rules, each a pattern of paths and whether mining is reserved there. Unlike
in robots.txt the first rule that matches decides. What the standard calls a protocol error, such as
a page in place of the file, reserves nothing.
"""

import msgspec

from openalign.ingest.web.rules.path_rules import PathPattern, comparable_path
from openalign.ingest.web.rules.texts import decoded_text

TDMREP_PATH = "/.well-known/tdmrep.json"
"""Where an origin's file lies."""

_MEANINGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


class _TdmRule(msgspec.Struct):
    location: str
    reservation: float | str | bool = msgspec.field(name="tdm-reservation")


class TdmRules:
    """What one origin reserves."""

    __slots__ = ("_rules",)

    def __init__(self, rules: list[tuple[PathPattern, bool]]) -> None:
        """Take rules in the order of the file, each where it holds and whether it reserves."""
        self._rules = rules

    def reserve(self, url: str) -> bool:
        """Tell whether mining of what lies at a canonical URL is reserved."""
        if not self._rules:
            return False
        path = comparable_path(url)
        return next((reserves for pattern, reserves in self._rules if pattern.matches(path)), False)


def tdm_rules_from(body: bytes) -> TdmRules:
    """Return the rules of a file; one that breaks the standard's form costs itself alone.

    A file that forgets the brackets around its only rule, and a reservation in quotation marks, are
    understood: what their owners want is plain.
    """
    body = decoded_text(body).encode().strip()
    if body.startswith(b"{"):
        body = b"[" + body + b"]"
    try:
        parts = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError):
        return TdmRules([])
    return TdmRules([rule for part in parts if (rule := _rule_from(part)) is not None])


def _rule_from(part: msgspec.Raw) -> tuple[PathPattern, bool] | None:
    try:
        rule = msgspec.json.decode(part, type=_TdmRule)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    said = _MEANINGS.get(str(rule.reservation).strip().lower())
    return None if said is None else (PathPattern(rule.location), said)
