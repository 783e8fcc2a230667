"""Pages as tests see them: their tags, their words, and the cells of their tables."""

import re
from html.parser import HTMLParser

EVIL = "<script>alert(1)</script><img src=http://evil.example/x.png onerror=alert(1)>\"'&"


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())


def rows_of(page: str, section: str) -> list[list[str]]:
    """Return the cells of a section's table, without tags."""
    part = re.search(rf'<section id="{section}">.*?</section>', page, re.DOTALL)
    assert part is not None
    return [
        [re.sub("<[^>]*>", " ", cell).strip() for cell in re.split("</t[hd]>", row)[:-1]]
        for row in re.findall(r"<tr>(.*?)</tr>", part[0], re.DOTALL)[1:]
    ]
