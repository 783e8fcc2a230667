"""Addresses that are seen to be good at once are those that the rules call good one by one."""

import random
import re

import pytest

from openalign.ingest.webpage.addresses import image_address
from openalign.ingest.webpage.addresses.image_address import (
    Offer,
    address_of_img,
    best_address,
    img_offers,
)

BASES = (
    "http://site.example/",
    "https://www.site.example/a/b.png?c",
    "http://site.example/a/blank/c.jpg",
)
HOSTS = ("", "http://a.example", "https://b.c-d.example", "http://xn--80.example", "HTTP://A.b")
HOSTS += ("http://1.2.3.4", "http://a.xn--b", "http://a.example:80", "//a.example", "ftp://a.b")
PARTS = ("a", "blank", "cat.1x1", ".", "..", "%2e", "lazy-cat", "cat_pixel_640x480", "x{{y}}", "")
PARTS += ("Blank", "SPACER-2")
ENDINGS = (".jpg", ".png", ".JPG", ".svg", ".jp2", ".webp", ".gif", "", ".mp4", ".jpeg")
QUERIES = ("", "?w=640&h=4", "?", "?a#b", "#b", "?x={y}", "?%20", " ")


def random_address(rng: random.Random) -> str:
    """Return an address of which one part in four is a strange one."""

    def choice(usual: str, *strange: str) -> str:
        return rng.choice(strange) if rng.random() < 0.25 else usual

    path = "/".join(choice("cat-1", *PARTS) for _ in range(rng.randrange(1, 4)))
    start = choice(rng.choice(HOSTS[:3]), *HOSTS) + choice("/", "")
    return start + path + choice(rng.choice(ENDINGS[:2]), *ENDINGS) + choice("?w=64", *QUERIES)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_seen_at_once_is_what_the_rules_say(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    cases = [
        (Offer(random_address(rng), "src", rng.choice(["", "image/png", "image/jxl"]), lazy), base)
        for lazy in (False, True)
        for base in BASES
        for _ in range(200)
    ]
    cases += [(Offer(base, "src"), base) for base in BASES]
    at_once = [best_address([offer], base, BASES[1]) for offer, base in cases]
    num_seen = sum(bool(image_address._PLAIN.fullmatch(offer.raw)) for offer, _ in cases)

    monkeypatch.setattr(image_address, "_PLAIN", re.compile("(?!)"))

    assert at_once == [best_address([offer], base, BASES[1]) for offer, base in cases]
    assert num_seen > 100


def test_the_address_of_an_element_is_the_best_of_its_offers() -> None:
    rng = random.Random(0)
    names = ("src", "srcset", "data-src", "data-original", "lazy-src", "data-srcset", "alt")
    ends = {"srcset": ("", " 2x", " 9w"), "data-srcset": ("", " .5x")}
    winners: set[str] = set()
    for _ in range(3000):
        attributes: dict[str, str | None] = {
            name: rng.choice((random_address(rng), "", " ")) + rng.choice(ends.get(name, ("",)))
            for name in rng.sample(names, rng.randrange(4))
        }
        if rng.random() < 0.1:
            attributes["src"] = None
        expected = best_address(img_offers(attributes), BASES[0], BASES[1])
        winners.add(expected.attribute)

        assert address_of_img(attributes, BASES[0], BASES[1]) == expected, attributes
    assert winners == {"", *names} - {"alt"}
