import pytest
from webpages import pairs, parse

from openalign.ingest.webpage.texts import TextKind


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        pytest.param("<img src=x.png>", {"no_alt_text": 1}, id="no alt"),
        pytest.param("<img src=x.png alt=' \n'>", {"no_alt_text": 1}, id="empty alt"),
        pytest.param("<img src='data:image/gif;base64,AA'>", {"no_alt_text": 1}, id="text first"),
        pytest.param("<img src='DATA:image/gif;base64,AA' alt=cat>", {"data_url": 1}, id="data"),
        pytest.param("<img alt=cat>", {"bad_url": 1}, id="no address"),
        pytest.param("<img src='ftp://h/x.png' alt=cat>", {"bad_url": 1}, id="ftp"),
        pytest.param("<img src='http://' alt=cat title=dog>", {"bad_url": 2}, id="two pairs"),
        pytest.param("<img src=x.png alt=cat>", {}, id="a good one"),
    ],
)
def test_what_is_no_candidate_is_counted(html: str, expected: dict[str, int]) -> None:
    assert dict(parse(html).dropped) == expected


def test_the_raw_address_is_kept_as_the_page_spells_it() -> None:
    [pair] = parse("<img src=' ../X%7e.png#top ' alt=cat>").pairs

    assert pair.raw_image_url == "../X%7e.png#top"
    assert pair.image_url == "http://site.example/X%7e.png"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        pytest.param("<html lang=en>", "en", id="plain"),
        pytest.param("<html lang=' EN-us '>", "en", id="region, capitals, spaces"),
        pytest.param("<html lang=pt_BR>", "pt", id="underscore"),
        pytest.param("<html xml:lang=de>", "de", id="xml:lang"),
        pytest.param("<html lang=en xml:lang=de>", "en", id="lang before xml:lang"),
        pytest.param("<html lang=''>", None, id="empty"),
        pytest.param("<html lang=english>", None, id="a name"),
        pytest.param("<html lang='{{ lang }}'>", None, id="a template"),
        pytest.param("<html lang=eng>", "en", id="three letters for two"),
        pytest.param("<html lang=GER>", "de", id="three letters of libraries"),
        pytest.param("<html lang=haw>", "haw", id="three letters"),
        pytest.param("<html lang=en,fr>", None, id="a list"),
        pytest.param("<html lang=x-default>", None, id="private use"),
        pytest.param("<body lang=fr>", None, id="elsewhere"),
        pytest.param("", None, id="none"),
    ],
)
def test_language_of_a_page(html: str, expected: str | None) -> None:
    assert parse(html).language == expected


EVERY_TEXT = (
    "<meta property=og:image content=x><meta property=og:image:alt content=og>"
    "<meta name=twitter:image content=x><meta name=twitter:image:alt content=card>"
    "<script type=application/ld+json>"
    '{"@type": "ImageObject", "url": "x", "caption": "described"}</script>'
    "<figure><img src=x alt=a title=t aria-label=l aria-labelledby=id usemap=#m>"
    "<figcaption>c</figcaption></figure><p id=id>e</p><map name=m><area alt=part></map>"
    "<picture><img src=x alt=p></picture><input type=image src=x alt=i><amp-img src=x alt=m>"
)


@pytest.mark.parametrize(
    ("kind", "texts", "num_without"),
    [
        pytest.param("alt", "a p i m", 0, id="alt"),
        pytest.param("title", "t", 3, id="title"),
        pytest.param("aria_label", "l e", 3, id="aria_label"),
        pytest.param("figcaption", "c", 3, id="figcaption"),
        pytest.param("area", "part", 4, id="area"),
        pytest.param("og_image", "og", 4, id="og_image"),
        pytest.param("twitter_image", "card", 4, id="twitter_image"),
        pytest.param("json_ld", "described", 4, id="json_ld"),
    ],
)
def test_texts_of_one_kind_alone(kind: TextKind, texts: str, num_without: int) -> None:
    page = parse(EVERY_TEXT, texts=(kind,))

    assert [pair.alt_text for pair in page.pairs] == texts.split()
    assert page.dropped["no_alt_text"] == num_without


def test_every_kind_of_text_together() -> None:
    page = parse(EVERY_TEXT)

    texts = " ".join(pair.alt_text for pair in page.pairs)
    assert texts == "a t l e c p i m part og card described"
    assert page.dropped.total() == 0


def test_links_are_canonical_sorted_and_single() -> None:
    page = parse(
        "<base href=/b/><a href=z.html#top>z</a><a href=z.html>z again</a><area href='/a.html'>"
        "<a>no address</a><a href='mailto:x@y'>mail</a><link href=/style.css>"
        "<a href='http://other.example/'>elsewhere</a>"
    )

    assert page.links == [
        "http://other.example/",
        "http://site.example/a.html",
        "http://site.example/b/z.html",
    ]


def test_robots_meta_elements_are_handed_on() -> None:
    page = parse(
        "<meta name=Robots content='noindex, nofollow'><meta name=openalign content=noai>"
        "<meta name=description content=none>"
    )

    assert page.directives == ["noindex, nofollow", "noai"]
    assert not page.reserves_tdm


def test_a_meta_element_reserves_text_and_data_mining() -> None:
    assert parse("<meta name='TDM-Reservation' content=' 1 '>").reserves_tdm
    assert not parse("<meta name=tdm-reservation content=0>").reserves_tdm


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param("name={} property=x", id="name beside a property"),
        pytest.param("name=x property={}", id="property beside a name"),
        pytest.param("property={}", id="property alone"),
        pytest.param("name={} property=' '", id="an empty property"),
        pytest.param("name={} http-equiv=content-language", id="http-equiv"),
    ],
)
def test_no_other_attribute_hides_an_opt_out(attributes: str) -> None:
    page = parse(
        f"<meta {attributes.format('robots')} content=noai>"
        f"<meta {attributes.format('tdm-reservation')} content=1>"
    )

    assert page.directives == ["noai"]
    assert page.reserves_tdm


def test_an_image_that_has_a_property_and_a_name_is_one() -> None:
    og = "property=og:image name=twitter:image content=/o.png"
    alt = "property=og:image:alt name=twitter:image:alt content=o"

    assert pairs(f"<meta {og}><meta {alt}>") == [("/o.png", "o", "og_image")]


def test_links_that_say_nofollow_are_apart() -> None:
    page = parse(
        "<a rel=nofollow href=/a><a rel='noopener NoFollow' href=/b><a href=/b>"
        "<a rel=nofollowed href=/c><a rel=nofollow href=/c>"
    )

    assert page.links == ["http://site.example/b", "http://site.example/c"]
    assert page.nofollow_links == ["http://site.example/a"]


def test_a_page_that_is_read_without_links_has_the_same_pairs() -> None:
    html = b"<a href=/a><img src=x.png alt=cat></a><a rel=nofollow href=/b>"
    page = parse(html, charset=None, with_links=False)

    assert (page.links, page.nofollow_links) == ([], [])
    assert [(p.image_url, p.alt_text) for p in page.pairs] == [
        ("http://site.example/a/x.png", "cat")
    ]


def test_a_caption_that_holds_another_is_none() -> None:
    depth = 100
    html = "<figure><img src=x.png><figcaption>outer " * depth + "inner"

    assert pairs(html) == [("/a/x.png", "outer inner", "figcaption")]


def test_an_image_of_a_figure_without_a_caption_has_not_that_of_the_figure_around() -> None:
    inner = "<figure><div><img src=x.png alt=cat></div><div><img src=y.png alt=dog></div></figure>"

    assert pairs(f"<figure><figcaption>outer</figcaption>{inner}</figure>") == [
        ("/a/x.png", "cat", "img_alt"),
        ("/a/y.png", "dog", "img_alt"),
    ]


def test_of_two_captions_of_a_figure_the_first_holds() -> None:
    html = "<figure><img src=x.png><figcaption>one</figcaption><figcaption>two</figcaption>"

    assert pairs(html) == [("/a/x.png", "one", "figcaption")]
