"""A report as a browser would read it, and hand-made manifests to write one of."""

from html.parser import HTMLParser
from typing import Any

from openalign.files.manifest import Manifest
from openalign.run.stages import STAGES

VOID = {"meta", "img", "br", "link", "input", "hr"}
STAGE_FACTS = [stage.facts for stage in STAGES.values()]


class Page(HTMLParser):
    """What a browser would see: every tag with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def manifest(stage: str, states: dict[str, int], **other: Any) -> Manifest:
    values: dict[str, Any] = {
        "schema_version": 1,
        "fingerprint": "f",
        "settings": {"settings": {"note": f"</pre><b>{stage}"}},
        "inputs": {},
        "num_outputs": states.get("kept", 1),
        "files": [],
        "facts": {},
    } | other
    return Manifest(stage=stage, num_inputs=sum(states.values()), states=states, **values)
