"""Which limits hold for a host: the settings of all, and those of `hosts` that name it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from openalign.ingest.web.config import HostConfig, WebConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLimits:
    """What one host gets; the fields are those of `HostConfig`, all of them decided."""

    requests_per_second: float
    connections_per_host: int
    host_seconds: float | None
    host_failures: int
    max_retry_seconds: float


class LimitsByHost:
    """Looks up the limits of hosts; each setting is that of the most specific name that has it."""

    def __init__(self, config: WebConfig) -> None:
        self._hosts = config.hosts
        self._settings = {f.name: getattr(config, f.name) for f in fields(HostConfig)}
        self._of_all = HostLimits(**self._settings)

    def of(self, host: str) -> HostLimits:
        """Return the limits of a host, given as in canonical URLs."""
        settings = dict(self._settings)
        named = [self._hosts[name] for name in _names(host) if name in self._hosts]
        if not named:
            return self._of_all
        for entry in reversed(named):
            for f in fields(HostConfig):
                value = getattr(entry, f.name)
                if value is not None:
                    settings[f.name] = value
        return HostLimits(**settings)


def _names(host: str) -> Iterator[str]:
    """Yield the keys of `hosts` that would name a host, the most specific first."""
    yield host
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"
