"""XHTML, written as the HTML that a parser of HTML reads in the same way."""

from html import escape

from openalign.ingest.webpage.cost.markup import CDATA_END, CDATA_START, VOID_TAGS, tags


def as_html(text: str) -> str:
    """Return a page of XML as HTML.

    In XML `<script src="a"/>` is a whole element, and `<![CDATA[` holds text. To a parser of HTML
    the first opens a script that swallows the page, and the second is a comment. A page need not be
    well-formed: what a parser of XML would refuse is read as far as it can be.
    """
    pieces: list[str] = []
    place = 0
    for tag in tags(text, is_xml=True):
        pieces.append(_outside_tags(text[place : tag.start]))
        place = tag.end
        if tag.name not in VOID_TAGS:
            pieces.append(text[tag.start : tag.end])
            if tag.is_empty:
                pieces.append(f"</{tag.name}>")
        elif not tag.is_end:
            pieces.append(text[tag.start : tag.end])
    pieces.append(_outside_tags(text[place:]))
    return "".join(pieces)


def _outside_tags(text: str) -> str:
    """Return what lies between two tags, with the content of CDATA sections as plain text."""
    if CDATA_START not in text:
        return text
    pieces: list[str] = []
    place = 0
    while (start := text.find(CDATA_START, place)) >= 0:
        content = start + len(CDATA_START)
        end = text.find(CDATA_END, content)
        end = len(text) if end < 0 else end
        pieces += [text[place:start], escape(text[content:end], quote=False)]
        place = end + len(CDATA_END)
    return "".join([*pieces, text[place:]])
