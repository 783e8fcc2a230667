"""Cases of hosts that are not there, or may not be reached, and of what DNS says of names."""

from openalign.files.states import FetchState
from openalign.hostile_web.case import DOMAIN, Case, Door
from openalign.hostile_web.name_server import NXDOMAIN, REFUSED, SERVFAIL, NameReply, addresses
from openalign.hostile_web.server import LOOPBACK

_DEAD = "127.0.0.2"
"""An address of this machine where nothing listens."""

_PRIVATE = "10.0.0.1"
_NO_NAME = FetchState.DNS_FAILURE
_REFUSED = FetchState.PRIVATE_ADDRESS


def place_cases() -> list[Case]:
    """Return cases of addresses that lead nowhere by themselves."""
    return [
        Case(
            name="refused",
            does="is a port that nothing listens on",
            state=FetchState.CONNECT_FAILURE,
            door=Door.NOWHERE,
            base="http://127.0.0.1:2",
        ),
        Case(
            name="no-such-name",
            does="has a name that cannot exist",
            state=FetchState.DNS_FAILURE,
            door=Door.NOWHERE,
            base="http://no-such-name.invalid",
        ),
        Case(
            name="private-address",
            does="is an address of a private network",
            state=FetchState.PRIVATE_ADDRESS,
            door=Door.NOWHERE,
            base="http://192.168.0.1",
        ),
        Case(
            name="bad-port",
            does="is a port of another service",
            state=FetchState.BAD_URL,
            door=Door.NOWHERE,
            base=f"http://bad-port.{DOMAIN}:25",
        ),
    ]


def name_cases() -> list[Case]:
    """Return cases of what a name server says."""
    return [
        _named("known", "has a name with one address", _at("known", LOOPBACK)),
        _named(
            "unknown", "has a name that its server denies", NameReply(code=NXDOMAIN), state=_NO_NAME
        ),
        _named("no-address", "has a name without an address", NameReply(), state=_NO_NAME),
        _named(
            "servfail",
            "has a name whose server answers SERVFAIL",
            NameReply(code=SERVFAIL),
            state=_NO_NAME,
        ),
        _named(
            "servfail-heals",
            "has a name whose server answers SERVFAIL twice, then an address",
            NameReply(code=SERVFAIL),
            NameReply(code=SERVFAIL),
            _at("servfail-heals", LOOPBACK),
        ),
        _named(
            "server-refuses",
            "has a name whose server answers REFUSED",
            NameReply(code=REFUSED),
            state=_NO_NAME,
        ),
        _named(
            "silent",
            "has a name whose server says nothing",
            NameReply(is_lost=True),
            state=_NO_NAME,
            deadline="connect_seconds",
        ),
        _named(
            "lost-once",
            "has a name of which one answer is lost",
            NameReply(is_lost=True),
            _at("lost-once", LOOPBACK),
        ),
        _named(
            "late",
            "has a name whose server answers after a second",
            _at("late", LOOPBACK, after_seconds=1.0),
        ),
        _named(
            "many-addresses",
            "has a name with 40 addresses, which come over TCP",
            _at("many-addresses", *[LOOPBACK] * 40),
        ),
        *_alias_cases(),
        *_address_cases(),
    ]


def _alias_cases() -> list[Case]:
    return [
        _named("alias", "has a name that is an alias", _alias("alias", LOOPBACK)),
        _named(
            "alias-of-none",
            "has a name that is an alias of nothing",
            _alias("alias-of-none"),
            state=_NO_NAME,
        ),
        _named(
            "alias-of-itself",
            "has a name that is an alias of itself",
            NameReply(records=[(_host("alias-of-itself"), "CNAME", _host("alias-of-itself"))]),
            state=_NO_NAME,
        ),
        _named(
            "alias-private",
            "has a name that is an alias of one in a private network",
            _alias("alias-private", _PRIVATE),
            state=_REFUSED,
        ),
    ]


def _address_cases() -> list[Case]:
    return [
        _named(
            "private",
            "has a name with an address of a private network",
            _at("private", _PRIVATE),
            state=_REFUSED,
        ),
        _named(
            "metadata",
            "has a name with the address of a cloud's metadata",
            _at("metadata", "169.254.169.254"),
            state=_REFUSED,
        ),
        _named(
            "private-and-live",
            "has a name with a private address before one that answers",
            _at("private-and-live", _PRIVATE, LOOPBACK),
        ),
        _named(
            "dead-and-live",
            "has a name with an address that refuses before one that answers",
            _at("dead-and-live", _DEAD, LOOPBACK),
        ),
        _named(
            "dead",
            "has a name with an address that refuses",
            _at("dead", _DEAD),
            state=FetchState.CONNECT_FAILURE,
        ),
    ]


def _named(
    name: str,
    does: str,
    *answers: NameReply,
    state: FetchState = FetchState.FETCHED,
    deadline: str = "",
) -> Case:
    return Case(
        name=f"name-{name}",
        does=does,
        state=state,
        door=Door.BY_NAME,
        name_answers=answers,
        deadline=deadline,
    )


def _host(name: str) -> str:
    return f"name-{name}.{DOMAIN}"


def _at(name: str, *texts: str, after_seconds: float = 0.0) -> NameReply:
    return addresses(_host(name), *texts, after_seconds=after_seconds)


def _alias(name: str, *texts: str) -> NameReply:
    real = f"real.{_host(name)}"
    own = [(real, "A", text) for text in texts]
    return NameReply(records=[(_host(name), "CNAME", real), *own])
