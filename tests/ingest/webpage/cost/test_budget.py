"""What a page may cost: bounds on steps, never on seconds."""

import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser
from webpages import parse

from openalign.ingest.webpage.cost import budget
from openalign.ingest.webpage.cost.budget import PageTooComplexError, parser_steps, require_parsable
from openalign.ingest.webpage.cost.markup import tags
from openalign.ingest.webpage.cost.open_tags import OpenTags
from openalign.ingest.webpage.texts import names

NAMES = sorted(
    names(
        "a b font p div span li ul ol dl dt dd table tr td th tbody caption option optgroup button"
        " object svg g math figure figcaption picture section h1 pre form label template noscript"
        " html body head i title style textarea script iframe colgroup col br img source map area"
        " input amp-img meta"
    )
)
PIECES = sorted(
    names(
        ", ,, srcset= src= alt= href=x rel= charset= content= http-equiv= name=robots data-src= ="
        """ =" ' > < </ /> <!-- --> <![CDATA[ ]]> & &amp; {{ }} ( ) 2x 9w .5x data: // http:// #"""
        " \0 x cat lang=de lang= id=a id=b aria-labelledby='a b' aria-label=cat usemap=#a name=a"
        " type=image type=application/ld+json property=og:image property=og:image:alt content=cat"
        """ {"@type":"ImageObject","url":"x","caption":"cat"} [ { } ] { " \\"""
    )
)

IMAGE_OBJECT = '{"@type": "ImageObject", "url": "x.png", "caption": "cat"}'


def steps_of(html: str, *, is_xml: bool = False) -> int:
    """Return how many lines of Python it takes to read a page."""
    num_steps = 0

    def trace(frame: FrameType, event: str, value: object) -> Any:
        nonlocal num_steps
        del frame, value
        num_steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse(html, is_xml=is_xml)
    finally:
        sys.settrace(before)
    return num_steps


@pytest.mark.parametrize(
    ("element", "end"),
    [
        pytest.param("<figure><img src=x.png alt=cat>", "<figcaption>a", id="nested figures"),
        pytest.param("<figure><figcaption>cat", "<img src=x>", id="nested captions"),
        pytest.param("<div><img>", "<figure><figcaption>a", id="nested images"),
        pytest.param("<a href=x>", "", id="links"),
        pytest.param("<meta name=robots content=a>", "", id="meta elements"),
        pytest.param("<img srcset=',,,, , ,' alt=cat>", "", id="commas"),
        pytest.param("<img alt=cat><noscript>", "<img src=x>", id="nested noscript"),
        pytest.param("<script/>", "", id="scripts"),
        pytest.param("<p lang=de><img src=x alt=cat>", "", id="nested languages"),
        pytest.param("<p id=a><img src=x aria-labelledby='a b'>", "<p id=b>cat", id="nested ids"),
        pytest.param("<img src=x usemap=#a>", "<map name=a><area alt=cat>", id="images of a map"),
        pytest.param("<map name=a><area alt=cat>", "<img src=x usemap=#a>", id="nested maps"),
        pytest.param("<picture><source srcset=#>", "<img alt=cat>", id="nested picture elements"),
        pytest.param(
            "<meta name=og:image content=x><meta name=og:image:alt content=cat>", "", id="og"
        ),
        pytest.param(
            "<meta name=og:image:alt content=cat>", "<meta name=og:image content=x>", id="alts"
        ),
        pytest.param(
            f"<script type=application/ld+json>[{IMAGE_OBJECT}]</script>", "", id="JSON-LD"
        ),
    ],
)
@pytest.mark.parametrize("is_xml", [False, True])
def test_twice_as_much_of_a_page_takes_twice_as_many_steps(
    element: str, end: str, *, is_xml: bool
) -> None:
    once = steps_of(element * 200 + end, is_xml=is_xml)

    assert steps_of(element * 400 + end, is_xml=is_xml) < 2.5 * once


def test_a_picture_with_many_sources_and_images_takes_no_more_than_both() -> None:
    def picture(num: int) -> str:
        return "<picture>" + "<source srcset='#'>" * num + "<img alt='a cat'>" * num + "</picture>"

    assert steps_of(picture(400)) < 2.5 * steps_of(picture(200))


def test_twice_as_long_a_srcset_takes_twice_as_many_steps() -> None:
    for piece in (",", ", ", " ,", "a 2x,", "(", "a ("):
        once = steps_of(f"<img alt=cat srcset='{piece * 500}'>")
        assert steps_of(f"<img alt=cat srcset='{piece * 1000}'>") < 2.5 * once


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda num: f"[{', '.join([IMAGE_OBJECT] * num)}]", id="a list"),
        pytest.param(lambda num: f"[{'1, ' * num}1]", id="numbers"),
        pytest.param(lambda num: "[" + "[], " * num + "[]]", id="lists"),
        pytest.param(lambda num: '{"image": [' * num + IMAGE_OBJECT + "]}" * num, id="nested"),
        pytest.param(lambda num: "[" * num, id="broken"),
        pytest.param(lambda num: '"\\' * num, id="broken texts"),
    ],
)
def test_twice_as_much_json_takes_twice_as_many_steps(data: Callable[[int], str]) -> None:
    def steps(num: int) -> int:
        return steps_of(f"<script type=application/ld+json>{data(num)}</script>")

    assert steps(400) < 2.5 * steps(200) + 100


def test_a_description_is_read_as_deep_as_its_bound() -> None:
    def page(depth: int, caption: str = "cat") -> str:
        image = IMAGE_OBJECT.replace("cat", caption)
        nested = "[" * (depth - 1) + image + "]" * (depth - 1)
        return f"<script type=application/ld+json>{nested}</script>"

    assert len(parse(page(64)).pairs) == 1
    assert parse(page(65)).pairs == []
    # Brackets in a text are none.
    assert len(parse(page(64, r"\"[{" * 10)).pairs) == 1
    # A text that does not end is passed over once, not once for each of its quotation marks.
    assert parse(page(64, "[" + r"\"" * 200_000 + "\\")).pairs == []


def test_a_page_whose_images_share_a_long_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # The address, as the page spells it, and the text.
    html = "<figure>" + "<img src=x>" * 10 + "<figcaption>" + "c" * 74
    assert len("http://site.example/a/x") + len("x") + 74 == 98

    monkeypatch.setattr(budget, "MAX_PAIR_CHARS", 980)
    assert len(parse(html).pairs) == 10
    monkeypatch.setattr(budget, "MAX_PAIR_CHARS", 979)
    with pytest.raises(PageTooComplexError, match="more than 979 characters"):
        parse(html)


def test_no_soup_of_tags_takes_more_steps_than_its_length_allows() -> None:
    rng = random.Random(0)
    for _ in range(150):
        unit = "".join(
            rng.choice((f"<{rng.choice(NAMES)} ", f"</{rng.choice(NAMES)}>", rng.choice(PIECES)))
            for _ in range(rng.randint(1, 8))
        )
        for is_xml in (False, True):
            once, twice = (steps_of(unit * num, is_xml=is_xml) for num in (40, 80))
            assert twice < 2.5 * once + 500, unit


def depth_of(html: str) -> int:
    """Return the depth of the tree that the parser makes."""
    tree = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS.value)
    assert tree.root is not None
    depths: dict[int, int] = {}
    for node in tree.root.traverse():
        parent = node.parent
        depths[node.mem_id] = 1 + (depths.get(parent.mem_id, 0) if parent is not None else 0)
    return max(depths.values())


def scanned_depth_of(html: str) -> int:
    open_tags = OpenTags()
    deepest = 0
    for tag in tags(html):
        open_tags.see(tag)
        deepest = max(deepest, open_tags.depth)
    return deepest


@pytest.mark.parametrize(
    ("html", "depth"),
    [
        pytest.param("<div>" * 50, 50, id="nested"),
        pytest.param("<div></div>" * 50, 1, id="beside each other"),
        pytest.param("<p>x" * 50, 1, id="paragraphs without ends"),
        pytest.param("<ul>" + "<li>x" * 50, 2, id="items without ends"),
        pytest.param("<table>" + "<tr><td>x" * 50, 3, id="rows without ends"),
        pytest.param("<table><tr>" + "<td><div>" * 50, 4, id="cells close what is in them"),
        pytest.param("<a href=x>x" * 50, 1, id="links without ends"),
        pytest.param("<p><b>x" * 50, 51, id="bold paragraphs without ends"),
        pytest.param("<br><img>" * 50, 0, id="elements without content"),
        pytest.param("<svg>" + "<path/>" * 50, 1, id="drawings close with a slash"),
        pytest.param("<div/>" * 50, 50, id="and nothing else does"),
        pytest.param("<!-- " + "<div>" * 50 + " -->", 0, id="a comment"),
        pytest.param("<script>" + "<div>" * 50 + "</script>", 1, id="a script"),
        pytest.param("<div title='" + "<div>" * 50 + "'>", 1, id="an attribute"),
        pytest.param("<div><table><td></div>" * 20, 60, id="a cell keeps an end from outside"),
        pytest.param("<dl>" + "<dt>x<dd>x" * 50, 2, id="terms without ends"),
    ],
)
def test_depth_of_a_page(html: str, depth: int) -> None:
    assert scanned_depth_of(html) == depth


def test_the_scan_overlooks_little_that_a_parser_nests() -> None:
    rng = random.Random(1)
    num_overlooked = 0
    for _ in range(1500):
        few = rng.sample(NAMES, rng.randint(1, 4))
        unit = "".join(
            f"<{rng.choice(('', '', '/'))}{rng.choice(few)}>{rng.choice(('', 'x'))}"
            for _ in range(rng.randint(1, 6))
        )
        html = unit * 60
        num_overlooked += depth_of(html) > 3 * scanned_depth_of(html) + 8
    # What is overlooked is bounded by MAX_TAGS.
    assert num_overlooked <= 3


def test_steps_are_depths_and_half_the_squares_of_attributes() -> None:
    attributes = " ".join(f"attribute-{n}" for n in range(100))

    assert parser_steps("<div><p>x</p><br></div>") == 1 + 2 + 1 + 1 + 0
    assert parser_steps(f"<br {attributes}>") == 100 * 100 // 2


def test_a_bound_on_each_side(monkeypatch: pytest.MonkeyPatch) -> None:
    # 1 + 2 + ... + 1,000 elements, each in the one before.
    nested = "<div>" * 1000
    wide = "<br " + " ".join(f"a{n:06}" for n in range(1001)) + ">"

    monkeypatch.setattr(budget, "MAX_PARSER_STEPS", 500_500)
    require_parsable(nested.encode())
    require_parsable(b"<br></br>" * 1000)
    monkeypatch.setattr(budget, "MAX_PARSER_STEPS", 500_499)
    with pytest.raises(PageTooComplexError, match="nested too deeply"):
        require_parsable(nested.encode())
    monkeypatch.setattr(budget, "MAX_PARSER_STEPS", 1001 * 1001 // 2)
    require_parsable(wide.encode())
    monkeypatch.setattr(budget, "MAX_PARSER_STEPS", 1001 * 1001 // 2 - 1)
    with pytest.raises(PageTooComplexError, match="too many attributes"):
        require_parsable(wide.encode())


def test_the_quick_bound_decides_as_the_scan_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_PARSER_STEPS", 300)
    rng = random.Random(2)
    for _ in range(500):
        html = "".join(f"<{rng.choice(NAMES)} {'a ' * rng.randint(0, 3)}>" for _ in range(30))
        html += f"<br {' '.join(f'b{n}' for n in range(rng.randint(0, 200)))}>"
        assert is_refused(html) == (parser_steps(html) > 300)


# What hides a tag or an end of one from who does not look at quotes, comments and scripts.
HIDING = [
    *("<", "<a ", "<b", "</", "</div", ">", ">>>", '"', "'", "='", '="', '= "', "=  '", '=\n\t "'),
    *("=", "= ", "==", " ", "\t", "/", "/////", "a", "b ", "c=d ", 'x="y" ', "x='>'", '">', "'>"),
    *('"" ', "''", '" " " ', "<!--", "-->", "<![CDATA[", "<script>", "</script>", "<svg>", "\xe9"),
    *("<p>", "<b>", "</b>", "<td>", "<table>", '<a b="', "<a b=c/d=e", f"<div {'a ' * 40}"),
]


def test_no_page_hides_steps_from_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    monkeypatch.setattr(budget, "_TAGS_BETWEEN_LOOKS", 3)
    num_with_attributes = 0
    for number in range(3000):
        monkeypatch.setattr(budget, "_SHORT_TAG_CHARS", (1, 20, 256)[number % 3])
        few = rng.sample(HIDING, rng.randint(2, 8))
        html = "".join(rng.choices(few, k=rng.randint(1, 300)))
        marks = budget.Marks(np.frombuffer(html.encode(), np.uint8))
        open_tags, steps_of_depth, steps_of_attributes = OpenTags(), 0, 0
        for tag in tags(html):
            open_tags.see(tag)
            steps_of_depth += open_tags.depth
            if tag.end - tag.start >= budget._SHORT_TAG_CHARS:
                steps_of_attributes += tag.num_attributes**2 // 2
        num_with_attributes += steps_of_attributes > 0

        assert steps_of_depth <= marks.most_depths().sum(), html
        assert steps_of_attributes <= marks.most_attribute_steps(), html
        # And what they leave open is decided as by counting every tag.
        num_steps = steps_of_depth + steps_of_attributes
        assert parser_steps(html) == num_steps
        for most in (num_steps, max(num_steps - 1, 0)):
            monkeypatch.setattr(budget, "MAX_PARSER_STEPS", most)
            assert is_refused(html) == (most < num_steps), html
    assert num_with_attributes > 500


def is_refused(html: str) -> bool:
    try:
        require_parsable(html.encode())
    except PageTooComplexError:
        return True
    return False


def test_a_long_ordinary_page_is_not_counted_tag_by_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    item = "<div class='item '><a href=/a title=\"it's a > b\"><img src=/a.png alt=''></a></div>"
    script = "<script>if (a < b) { c = '<p class=\"d\">' + 'it is' }</script>\n"
    long = f"<img src=/a.png data-all='{{{'&quot;a&quot;: 1, ' * 100}}}'>{'the words of it ' * 200}"
    html = (item * 20 + script + long) * 100
    monkeypatch.delattr(budget, "tags")

    assert html.count(" ") ** 2 // 2 > budget.MAX_PARSER_STEPS
    require_parsable(html.encode())
    with pytest.raises(NameError):
        require_parsable(b"<div>" * 100_000)


def test_tags_and_elements_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_TAGS", 10)
    parse("<img>" * 10)
    with pytest.raises(PageTooComplexError, match="more than 10 tags"):
        parse("<img>" * 11)
    monkeypatch.setattr(budget, "MAX_TAGS", 100)
    monkeypatch.setattr(budget, "MAX_ELEMENTS", 10)
    parse("<img><a href=x></a>" * 5)
    with pytest.raises(PageTooComplexError, match="more than 10 images and links"):
        parse("<img><a href=x></a>" * 5 + "<meta>")
    parse("<script type=application/ld+json>[" + "{}, " * 8 + "{}]</script>")
    with pytest.raises(PageTooComplexError, match="more than 10 images and links"):
        parse("<script type=application/ld+json>[" + "{}, " * 9 + "{}]</script>")


@pytest.mark.parametrize(
    "html",
    [
        pytest.param("<div>" * 100_000, id="depth"),
        pytest.param("<b>" * 190_000, id="formatting"),
        pytest.param("<br " + " ".join(f"a{n}" for n in range(50_000)) + ">", id="attributes"),
        pytest.param("<p>" * 500_001, id="tags"),
        pytest.param("<img>" * 150_000, id="images"),
        pytest.param(
            f"<script type=application/ld+json>[{'[],' * 100_000}[]]</script>", id="JSON-LD"
        ),
        pytest.param(
            "<figure>" + "<img src=x>" * 10_000 + "<figcaption>" + "c" * 10_000, id="shared texts"
        ),
        pytest.param("<svg>" + "<g>" * 50_000 + "</x>" * 50_000, id="ends that end nothing"),
    ],
)
def test_a_page_beyond_its_budget_is_refused(html: str) -> None:
    with pytest.raises(PageTooComplexError):
        parse(html)
