"""Pages whose images are judged together have what they have alone."""

import random
from collections import Counter
from collections.abc import Collection
from typing import Any

import pytest
from webpages import ALL_TEXTS, PAGE_URL, parse

from openalign.ingest.webpage.cost import budget
from openalign.ingest.webpage.cost.budget import PageTooComplexError
from openalign.ingest.webpage.elements.images_to_judge import judge_together
from openalign.ingest.webpage.elements.pairs import FoundPair
from openalign.ingest.webpage.page import PageContent
from openalign.ingest.webpage.texts import TextKind

ADDRESSES = (
    *("/a/b.jpg", "/c.png?w=1", "http://site.example/d.gif", "/e.jpeg", "/a-b/c/f.webp"),
    *("g.jpg", "../h.webp", "/i.jpg ", "//cdn.example/j.jpg", "/k.tiff"),
    *("/blank.gif", "/my_spacer.png", "data:x", "#", "", PAGE_URL, "{{ url }}", "/h.svg", "lazy"),
)
SETS = ("/s.jpg 2x", "/s.jpg 1x, /t.jpg 300w", "/u.jpg", ",", "/blank.gif 2x")
TEXTS = ("cat", "", " ", "two  words", "\u00a0", "\u6e2f", "x\n")
OTHER_TEXTS = ("title", "aria-label")
LAZY = ("data-src", "data-lazy-src", "DATA-SRC", "data-url")


def attribute(rng: random.Random, share: float, name: str, values: Collection[str]) -> str:
    return f' {name}="{rng.choice(tuple(values))}"' if rng.random() < share else ""


def image(rng: random.Random, element: str = "img") -> str:
    parts = [
        attribute(rng, 0.8, "src", ADDRESSES),
        attribute(rng, 0.8, "alt", TEXTS),
        attribute(rng, 0.2, rng.choice(LAZY), ADDRESSES),
        attribute(rng, 0.1, "srcset", SETS),
        attribute(rng, 0.1, "data-srcset", SETS),
        attribute(rng, 0.3, rng.choice(OTHER_TEXTS), TEXTS),
        attribute(rng, 0.1, "aria-labelledby", ("one", "none")),
        attribute(rng, 0.1, "lang", ("de", "english", "")),
        attribute(rng, 0.1, "usemap", ("#m",)),
    ]
    rng.shuffle(parts)
    return f"<{element}{''.join(parts)}>"


def block(rng: random.Random) -> str:
    first, second = image(rng), image(rng)
    noscript = f"<noscript>{second}</noscript>"
    return rng.choice(
        (
            first,
            first,
            f"<p lang=fr>{first}</p>",
            f'<picture><source srcset="{rng.choice(SETS)}">{first}</picture>',
            f"<picture>{first}</picture> {noscript}",
            f"{first}{rng.choice(('', ' ', '.', '<!-- -->', '<script>1</script>'))}{noscript}",
            f"<figure>{first}<figcaption>A <b>caption</b></figcaption></figure>",
            image(rng, "input type=Image"),
            image(rng, "input"),
            image(rng, "amp-img"),
            f"<svg>{first}<image href=/a.jpg alt=x></svg>",
            '<map name=m><area alt="an area"></map>',
            "<i id=one>named</i>",
            "<base href=http://other.example/z/>",
            "<meta property=og:image content=/o.jpg><meta property=og:image:alt content=o>",
        )
    )


def random_pages(seed: int) -> list[str]:
    rng = random.Random(seed)
    return [
        f"<html{attribute(rng, 0.5, 'lang', ('en', 'pt'))}>"
        + "".join(block(rng) for _ in range(rng.randrange(14)))
        for _ in range(300)
    ]


def content(html: str, texts: Collection[TextKind], *, later: bool) -> PageContent | None:
    """Return what is found on a page; None if it is too complex."""
    try:
        return parse(html, texts=texts, images_later=later)
    except PageTooComplexError:
        return None


def row(number: int, pair: FoundPair) -> tuple[Any, ...]:
    source = (pair.raw_image_url, pair.address_from, pair.language)
    return (number, pair.image_url, pair.alt_text, pair.found_in, *source)


def rows_of(pages: list[PageContent | None]) -> Counter[Any]:
    return Counter(
        row(number, pair) for number, page in enumerate(pages) if page for pair in page.pairs
    )


@pytest.mark.parametrize("most_chars", [budget.MAX_PAIR_CHARS, 60], ids=["short", "too long"])
@pytest.mark.parametrize("texts", [("alt",), ("alt", "title"), ("title",), ALL_TEXTS], ids=str)
def test_images_judged_later_give_what_they_give_alone(
    texts: Collection[TextKind], most_chars: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "MAX_PAIR_CHARS", most_chars)
    pages = random_pages(len(texts))
    expected = [content(html, texts, later=False) for html in pages]

    found = [content(html, texts, later=True) for html in pages]
    left = [(number, page.images) for number, page in enumerate(found) if page and page.images]
    judged = judge_together([images for _, images in left])

    together = Counter((left[number][0], *values) for number, *values in judged.iter_rows())
    assert together + rows_of(found) == rows_of(expected)
    assert [page and page.dropped for page in found] == [page and page.dropped for page in expected]
    assert (None in expected) == (most_chars == 60)
    # Where pairs may be too long, or an alt-text does not count, all is judged at once.
    assert (together.total() > 30) == ("alt" in texts and most_chars > 60)


@pytest.mark.parametrize(
    ("html", "is_left"),
    [
        pytest.param("<img src=/a.jpg alt=cat>", True, id="a src alone"),
        pytest.param("<img src=a alt=cat>", True, id="an address that is not plain"),
        pytest.param("<img data-src=/a.jpg src=/b.jpg alt=cat>", True, id="another address"),
        pytest.param("<img src=/a.jpg alt=cat srcset='/b.jpg 2x'>", False, id="sizes"),
        pytest.param("<picture><img src=/a.jpg alt=cat></picture>", False, id="a picture element"),
        pytest.param("<img src=/a.jpg alt=cat><noscript>", False, id="noscript behind it"),
        pytest.param("<img src=/a.jpg alt=cat title=x>", False, id="another text"),
        pytest.param("<input type=image src=/a.jpg alt=cat>", False, id="a button"),
        pytest.param("<img src=/a.jpg>", False, id="no text"),
        pytest.param("<img alt=cat>", False, id="no address"),
    ],
)
def test_images_are_left_that_are_known_by_their_attributes(html: str, *, is_left: bool) -> None:
    page = parse(html, texts=("alt", "title"), images_later=True)

    assert (page.images is not None) is is_left
    assert parse(html).images is None
