"""Which limits hold for a host: the settings of all, and those of `hosts` that name it. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

from openalign.ingest.web.config import HostConfig, WebConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLimits:
    """What one host gets of a client; settings of `HostConfig`, all of them decided."""

    requests_per_second: float
    connections_per_host: int
    host_seconds: float | None
    host_failures: int
    max_retry_seconds: float
    num_owners: int = 1
    """Clients that the host is shared among; rate and connections are one's share of them."""


class LimitsByHost:
    """Looks up the limits of hosts; each setting is that of the most specific name that has it."""

    def __init__(self, config: WebConfig, owners_of: Callable[[str], int] = lambda _: 1) -> None:
        """Look up in the settings; `owners_of` tells among how many clients a host is shared."""
        self._owners_of = owners_of
        self._hosts = config.hosts
        self._settings = {f.name: getattr(config, f.name) for f in fields(HostConfig)}
        self._of_all = HostLimits(**self._settings)

    def of(self, host: str) -> HostLimits:
        """Return what one client gives a host, which is named as in canonical URLs."""
        limits = self._whole(host)
        owners = self._owners_of(host)
        if owners == 1:
            return limits
        return replace(
            limits,
            requests_per_second=limits.requests_per_second / owners,
            connections_per_host=max(1, limits.connections_per_host // owners),
            num_owners=owners,
        )

    def _whole(self, host: str) -> HostLimits:
        settings = dict(self._settings)
        named = [self._hosts[name] for name in names_for(host) if name in self._hosts]
        if not named:
            return self._of_all
        for entry in reversed(named):
            for f in fields(HostConfig):
                value = getattr(entry, f.name)
                if value is not None:
                    settings[f.name] = value
        return HostLimits(**settings)


def names_for(host: str) -> Iterator[str]:
    """Yield the keys of the setting `hosts` that name a host, the most specific first."""
    yield host
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"
