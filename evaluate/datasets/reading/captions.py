"""Captions of images: a blank one is left out and counted, and many are an error."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from openalign.errors import InputError

MAX_BLANK_SHARE = 0.01
"""A file with more blank captions than this is the wrong file. One alone is never too many."""

_NUM_NAMED = 5


@dataclass(slots=True)
class CaptionChecker:
    """Takes the captions of a file, image by image."""

    file: str
    max_captions: int
    """Of an image; those after them are left out."""

    _num_captions: int = 0
    _blank: list[str] = field(default_factory=list)

    def check(
        self, where: str, captions: Sequence[str], ids: Sequence[str] = ()
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return an image's first captions that are not blank, without space around them.

        Their ids come with them, where all of them have one. `where` names the image.

        Raises:
            InputError: none is left.
        """
        kept = [number for number, caption in enumerate(captions) if caption.strip()]
        self._num_captions += len(captions)
        self._blank += [where] * (len(captions) - len(kept))
        if not kept:
            raise InputError(f"{self.file}: {where} has no caption that is not blank")
        del kept[self.max_captions :]
        return (
            tuple(captions[number].strip() for number in kept),
            tuple(ids[number] for number in kept) if ids else (),
        )

    def notes(self) -> tuple[str, ...]:
        """Return what was left out, in a sentence for people.

        Raises:
            InputError: more was blank than an oddity.
        """
        if not self._blank:
            return ()
        named = ", ".join(dict.fromkeys(self._blank[:_NUM_NAMED]))
        if len(self._blank) > max(1.0, MAX_BLANK_SHARE * self._num_captions):
            raise InputError(
                f"{self.file}: {len(self._blank)} of {self._num_captions} captions are blank, "
                f"among them those of {named}",
                hint=f"up to {MAX_BLANK_SHARE:.0%} are left out and counted; see that the file "
                "is whole",
            )
        return (f"{self.file}: blank captions, left out: {len(self._blank)} ({named})",)
