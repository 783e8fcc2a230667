"""What must not be in a data set: addresses, hosts and contents that somebody asked to leave out.

Each entry is its 64-bit hash, so a list of ten million takes 80 MB. An image that is on no list is
taken for one that is with a probability of 2^-64 an entry.
"""

import hashlib
import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from openalign.files.fingerprints import fingerprint_of
from openalign.files.hashing import hash64, hash64_expr
from openalign.files.manifest import DataFile
from openalign.files.storage import join
from openalign.files.tables import read_table, write_table

ANY_BELOW = "*."
"""Before the name of a domain: that domain, and every host below it."""

_FILE = "removals.parquet"

_HOST = r"^https?://(\[[^\]]*\]|[^/:]*?)\.?(?:[/:]|$)"
"""`host.example.` is `host.example`: its last dot is the root, which is above each name anyway."""

_ROOT = r"^(https?://[^/:\[]+)\.([/:]|$)"

_Hashes = npt.NDArray[np.uint64]


def _nothing() -> _Hashes:
    return np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True)
class Removals:
    """Sorted hashes of what is left out."""

    urls: _Hashes = field(default_factory=_nothing)
    """Of canonical image URLs."""

    hosts: _Hashes = field(default_factory=_nothing)
    """Of hosts, and of domains behind `ANY_BELOW`."""

    contents: _Hashes = field(default_factory=_nothing)
    """Of the sha256 of files, in lower-case hex."""

    @property
    def fingerprint(self) -> str:
        """The hash of what they are; the order of the lists makes no difference."""
        return fingerprint_of([hashlib.sha256(part.tobytes()).hexdigest() for part in self.parts])

    @property
    def parts(self) -> tuple[_Hashes, ...]:
        """All of them: `urls`, `hosts`, `contents`."""
        return self.urls, self.hosts, self.contents

    def of_addresses(self, urls: pl.Series) -> npt.NDArray[np.bool_]:
        """Tell which canonical image URLs are left out, by themselves or by their hosts."""
        gone = _is_in(urls.str.replace(_ROOT, "${1}${2}"), self.urls)
        if len(self.hosts):
            hosts = urls.str.extract(_HOST).fill_null("")
            gone |= _is_in(hosts, self.hosts)
            for domains in _domains_of(hosts):
                gone |= _is_in(ANY_BELOW + domains, self.hosts)
        return gone

    def has_address(self, url: str) -> bool:
        """Tell what `of_addresses` does for one, without the cost of a column."""
        if _holds(self.urls, _without_root(url)):
            return True
        if not len(self.hosts):
            return False
        found = re.match(_HOST, url)
        host = found[1] if found else ""
        if _holds(self.hosts, host):
            return True
        while host:
            if _holds(self.hosts, ANY_BELOW + host):
                return True
            host = host.partition(".")[2]
        return False

    def of_contents(self, sha256s: pl.Series) -> npt.NDArray[np.bool_]:
        """Tell which files are left out."""
        return _is_in(sha256s, self.contents)

    def has_content(self, sha256: str) -> bool:
        """Tell whether one file is left out."""
        return _holds(self.contents, sha256)


NO_REMOVALS = Removals()


def removals_of(urls: list[str], hosts: list[str], sha256s: list[str]) -> Removals:
    """Return the record of entries; they are canonical."""
    named = [_without_root(url) for url in urls], [host.removesuffix(".") for host in hosts]
    entries = (pl.Series(names, dtype=pl.String) for names in (*named, sha256s))
    return Removals(*(np.unique(_hashes(names)) for names in entries))


def write_removals(folder: str, removals: Removals) -> DataFile:
    """Write removals down for the workers, in a folder."""
    parts = removals.parts
    kinds = np.repeat(np.arange(len(parts), dtype=np.int8), [len(hashes) for hashes in parts])
    return write_table(folder, _FILE, pa.table({"kind": kinds, "hash": np.concatenate(parts)}))


def read_removals(folder: str) -> Removals:
    """Return the removals that `write_removals` wrote."""
    rows = pl.DataFrame(read_table(join(folder, _FILE)))
    return Removals(*(rows.filter(kind=kind)["hash"].to_numpy() for kind in range(3)))


def _domains_of(hosts: pl.Series) -> list[pl.Series]:
    """Return the hosts, then the domains around them, from the inside outward."""
    found: list[pl.Series] = []
    domains = hosts
    while (domains != "").any():
        found.append(domains)
        domains = domains.str.extract(r"^[^.]*\.(.*)$").fill_null("")
    return found


def _without_root(url: str) -> str:
    return re.sub(_ROOT, r"\1\2", url)


def _hashes(texts: pl.Series) -> _Hashes:
    named = texts.rename("text").to_frame()
    return named.select(hash64_expr("text")).to_series().to_numpy()


def _is_in(texts: pl.Series, hashes: _Hashes) -> npt.NDArray[np.bool_]:
    if not len(hashes):
        return np.zeros(len(texts), np.bool_)
    # They are sorted already; `numpy.isin` would sort them all again, for each image.
    wanted = _hashes(texts)
    places = np.searchsorted(hashes, wanted)
    return hashes[np.minimum(places, len(hashes) - 1)] == wanted


def _holds(hashes: _Hashes, text: str) -> bool:
    if not len(hashes):
        return False
    wanted = np.uint64(hash64(text))  # with a Python integer, all hashes would become floats
    place = min(int(hashes.searchsorted(wanted)), len(hashes) - 1)
    return bool(hashes[place] == wanted)
