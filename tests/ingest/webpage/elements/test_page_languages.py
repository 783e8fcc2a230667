"""The language around a text: HTML 3.2.6.2, with what a meta element and the server say."""

import pytest
from webpages import parse

IMG = "<img src=x.png alt=cat>"


def languages(html: str, server: str | None = None) -> list[str | None]:
    return [pair.language for pair in parse(html, content_language=server).pairs]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        pytest.param(f"<html lang=en>{IMG}", "en", id="html"),
        pytest.param(f"<html lang=en><body lang=de>{IMG}", "de", id="body"),
        pytest.param(f"<html lang=en><p lang=de><a>{IMG}</a></p>", "de", id="an element around"),
        pytest.param(f"<html lang=en><p lang=de></p>{IMG}", "en", id="an element beside"),
        pytest.param("<html lang=en><img lang=de src=x alt=cat>", "de", id="the image itself"),
        pytest.param(f"<div lang=fr><p lang=nl-BE>{IMG}", "nl", id="the innermost"),
        pytest.param(f"<p xml:lang=de>{IMG}", "de", id="xml:lang"),
        pytest.param(f"<p lang=fr xml:lang=de>{IMG}", "fr", id="lang before xml:lang"),
        pytest.param(f"<html lang=en><p lang=''>{IMG}", None, id="unknown by will"),
        pytest.param(
            f"<html lang=en><p lang=german>{IMG}", None, id="a word hides what is outside"
        ),
        pytest.param(f"<p lang=de>{IMG[:-1]} hreflang=fr>", "de", id="another attribute"),
        pytest.param(IMG, None, id="none"),
    ],
)
def test_the_innermost_element_names_the_language(html: str, expected: str | None) -> None:
    assert languages(html) == [expected]


@pytest.mark.parametrize(
    ("head", "server", "expected"),
    [
        pytest.param("", "de-AT", "de", id="the server"),
        pytest.param("", "de, en", None, id="a server with two"),
        pytest.param("", " DE ", "de", id="capitals and spaces"),
        pytest.param("<meta http-equiv=Content-Language content=fr>", "de", "fr", id="a meta"),
        pytest.param("<meta http-equiv=content-language content='fr, en'>", "de", "de", id="two"),
        pytest.param("<meta http-equiv=content-language content='fr en'>", None, "fr", id="words"),
        pytest.param(
            "<meta http-equiv=content-language content=fr>" * 2
            + "<meta http-equiv=content-language content=it>"
            + "<meta http-equiv=content-language content=' '>",
            None,
            "it",
            id="the last that names one",
        ),
        pytest.param(
            "<meta name=x http-equiv=content-language content=fr>", "de", "fr", id="one with a name"
        ),
        pytest.param("<meta name=content-language content=fr>", None, None, id="another name"),
    ],
)
def test_where_no_element_names_one_the_page_as_a_whole_does(
    head: str, server: str | None, expected: str | None
) -> None:
    assert languages(f"<head>{head}</head>{IMG}", server) == [expected]
    assert parse(head, content_language=server).language == expected
    # An element goes before both; one that names none, too.
    assert languages(f"<head>{head}</head><body lang=nl>{IMG}", server) == ["nl"]
    assert languages(f"<html lang=''>{head}{IMG}", server) == [None]


def test_a_text_elsewhere_has_the_language_of_its_own_place() -> None:
    page = parse(
        "<html lang=en><head><meta property=og:image content=y.png>"
        "<meta property=og:image:alt content=dog></head>"
        "<p id=a lang=it>gatto</p><figure lang=de><img src=x.png alt=Katze aria-labelledby=a>"
        "<figcaption lang=fr>chat</figcaption></figure>"
    )

    assert [(pair.alt_text, pair.language) for pair in page.pairs] == [
        ("Katze", "de"),
        ("gatto", "it"),
        ("chat", "fr"),
        ("dog", "en"),
    ]
