"""The candidates of a `srcset` attribute (HTML 4.8.4.2), in time linear in its length."""

import re
from typing import NamedTuple

# An address ends at white space; commas at its end separate it from the next.
_ADDRESS = re.compile(r"[\t\n\f\r ,]*+([^\t\n\f\r ]++)")
# A comma within parentheses is part of a descriptor.
_DESCRIPTORS = re.compile(r"((?:[^,(]++|\([^)]*+(?:\)|\Z))*+)(?:,|\Z)")
_DESCRIPTOR = re.compile(r"([+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3})?)([wxWX])")


class SrcsetCandidate(NamedTuple):
    """An address of a `srcset`, with what is said about its size."""

    raw: str
    width_px: float
    """0 where no width is given."""

    density: float
    """1 where no density is given."""

    @property
    def is_large(self) -> bool:
        """Whether it comes before a single address, whose density is 1."""
        return self.width_px > 0 or self.density > 1


def srcset_candidates(srcset: str) -> list[SrcsetCandidate]:
    """Return the candidates, the largest first: by width where there is one, then by density.

    Equals stay in the order of the page. A descriptor that cannot be read counts as none.
    """
    candidates: list[SrcsetCandidate] = []
    place = 0
    while found := _ADDRESS.match(srcset, place):
        raw, place = found[1], found.end()
        address = raw.rstrip(",")
        descriptors = ""
        if address == raw and (behind := _DESCRIPTORS.match(srcset, place)):
            descriptors, place = behind[1], behind.end()
        if address:
            candidates.append(_candidate(address, descriptors))
    return sorted(candidates, key=lambda c: (-c.width_px, -c.density))


def _candidate(address: str, descriptors: str) -> SrcsetCandidate:
    width_px, density = 0.0, 1.0
    for word in descriptors.split():
        read = _DESCRIPTOR.fullmatch(word)
        if read is None:
            continue
        if read[2] in "wW":
            width_px = max(0.0, float(read[1]))
        else:
            density = max(0.0, float(read[1]))
    return SrcsetCandidate(address, width_px, density)
