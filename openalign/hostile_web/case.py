"""A case of the hostile web: what one host does, and how its images must end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from openalign.files.states import CAN_HEAL, FetchState
from openalign.hostile_web.certificates import Certificate
from openalign.hostile_web.made_images import good
from openalign.hostile_web.name_server import NameReply
from openalign.hostile_web.replies import Reply

DOMAIN = "hostile.example"

ELSEWHERE = f"http://good-jpeg.{DOMAIN}"
"""A host that serves good images under all paths."""

GOOD = Reply(body=good(), headers=[("Content-Type", "image/jpeg")])
NOTHING = Reply(status=404)

Answers = Reply | Sequence[Reply] | Callable[[str], Reply]
"""The answers of a host: one, a sequence for the first times that a URL is asked for, of which the
last one stays, or one by path."""

_WITHOUT_ANSWER = frozenset(
    {FetchState.CONNECT_FAILURE, FetchState.DNS_FAILURE, FetchState.TIMEOUT}
)
_FEW = 2
"""Addresses of a host that costs time or memory, or that would be given up after many."""


class Door(StrEnum):
    """Where a host is reached."""

    HTTP = "http"
    HTTPS = "https"
    SILENT = "silent"
    """A port that takes connections and says nothing."""

    BY_NAME = "by name"
    """The port of http, at the addresses that the name server has for the host."""

    NOWHERE = "nowhere"
    """Not here: the addresses alone decide."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way in which the web fails, or seems to."""

    name: str
    """The first part of the host's name."""

    does: str
    """What the host does, in words."""

    state: FetchState = FetchState.FETCHED
    """How its images end, whether settings are the defaults or those of `pipeline`."""

    image: Answers = GOOD
    robots: Answers = NOTHING
    tdmrep: Answers = NOTHING
    scheme: str = "http"
    door: Door = Door.HTTP
    certificate: Certificate = Certificate.GOOD
    name_answers: Sequence[NameReply] = ()
    """What the name server says of the host's IPv4 addresses, the first times that it is asked; the
    last one stays. Of the others it has none. For hosts that are reached by name."""

    base: str = ""
    """What its addresses begin with, where that is not the host's own root."""

    deadline: str = ""
    """The setting that ends it, where it would go on for ever."""

    is_costly: bool = False
    """Whether each address costs the client time or memory."""

    only_one: bool = False
    """Whether a second address would end in another state."""

    @property
    def host(self) -> str:
        """Return the name of the host."""
        return f"{self.name}.{DOMAIN}"

    @property
    def neighbor(self) -> str:
        """Return the name of a host beside it that does nothing wrong."""
        return f"beside-{self.name}.{DOMAIN}"

    @property
    def mends(self) -> bool:
        """Tell whether the host is well on another day."""
        return self.door in (Door.HTTPS, Door.BY_NAME) or (
            self.door is Door.HTTP and self.scheme == "http"
        )

    @property
    def state_after_round(self) -> FetchState:
        """Return how its images end after a round on another day.

        A round asks for what can heal, so other failures stay, although the host is well.
        """
        return FetchState.FETCHED if self.mends and self.state in CAN_HEAL else self.state

    def num_urls(self, num: int) -> int:
        """Return how many addresses there are where so many are asked for.

        There are fewer where many would change the outcome.
        """
        if self.only_one:
            return 1
        is_few = self.is_costly or self.deadline or self.state in _WITHOUT_ANSWER
        return min(num, _FEW) if is_few else num

    def urls(self, num: int, *, http_port: int) -> list[str]:
        """Return the addresses; who is reached by name is asked at the port of http."""
        by_name = f":{http_port}" if self.door is Door.BY_NAME else ""
        base = self.base or f"{self.scheme}://{self.host}{by_name}"
        return [f"{base}/{number}.jpg" for number in range(self.num_urls(num))]
