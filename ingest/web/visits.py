"""What the client knows of an address that it asks for."""

import math
from dataclasses import dataclass

from openalign.ingest.web.answers import Head


@dataclass(slots=True)
class Visit:
    """One address on its way through attempts and redirects."""

    asked: str
    """The caller's URL; empty for a file of rules."""

    url: str
    host: str
    rules_file: str = ""
    """The file of an origin's rules that this asks for."""

    rules_until: float = math.inf
    """When the rules that allow it expire."""

    num_attempts: int = 0
    on_new_connection: bool = False
    """Whether the next attempt uses no connection of an earlier request."""

    num_redirects: int = 0
    redirect: Head | None = None
    """The redirect that led here."""
