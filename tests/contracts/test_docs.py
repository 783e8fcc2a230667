"""The pages: their commands, recipes, links and line lengths."""

import re
from pathlib import Path

import pytest

from openalign.run.config import PipelineConfig, load_pipeline
from openalign.settings.sentences import sections_of

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / n for n in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docker/README.md")),
    ROOT / "benchmarks" / "RESULTS.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
_NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES_WITH_SETTINGS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_NAMES_WITH_SETTINGS = [str(page.relative_to(ROOT)) for page in PAGES_WITH_SETTINGS]
_KEY = r"(\w+(?:\[\])?(?:\.\w+(?:\[\])?)+)"
"""Two or more names with dots between them; `[]` stands for each item of a list."""
_MENTIONED = re.compile(rf"`{_KEY}(?=[`:=])|--set[ =]'?{_KEY}=")


def test_readme_begins_with_make_targets_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first = _FENCE.findall(readme)[0][1]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    targets = re.findall(r"^make (\S+)", first, re.MULTILINE)

    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_pipeline_in_readme_loads(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("### From pairs to a model")[2]
    recipe, benchmark = [text for kind, text in _FENCE.findall(section) if kind == "yaml"]
    path = tmp_path / "pipelines.yaml"

    path.write_text(recipe, encoding="utf-8")
    assert load_pipeline(str(path), "mine").train.global_batch_size == 1024

    path.write_text(recipe + benchmark, encoding="utf-8")
    assert load_pipeline(str(path), "mine").train.global_batch_size == 1024


@pytest.mark.parametrize("page", PAGES, ids=_NAMES)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), f"{page.name} links to {link}"


def test_readme_lists_every_page_that_lies_in_docs_itself() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}

    listed = set(re.findall(r"\]\((docs/\w+\.md)\)", readme.partition("\n## Pages\n")[2]))

    assert listed == pages


@pytest.mark.parametrize("page", PAGES, ids=_NAMES)
def test_lines_outside_tables_have_at_most_120_characters(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    too_long = [n for n, line in enumerate(lines, 1) if len(line) > 120 and line[:1] != "|"]

    assert too_long == []


@pytest.mark.parametrize("page", PAGES_WITH_SETTINGS, ids=_NAMES_WITH_SETTINGS)
def test_every_settings_key_that_a_page_mentions_exists(page: Path) -> None:
    keys = _settings_keys()
    sections = {key.partition(".")[0] for key in keys}
    text = page.read_text(encoding="utf-8")
    mentioned = {found[1] or found[2] for found in _MENTIONED.finditer(text)}
    plain = {re.sub(r"^benchmarks\.\w+", "benchmarks.NAME", key) for key in mentioned}
    written = {key.replace("[]", "") for key in plain if key.partition(".")[0] in sections}

    assert sorted(written - keys) == []


def _settings_keys() -> set[str]:
    """Return the key path of each setting and section, without the `[]` of lists."""
    sections = sections_of(PipelineConfig)
    keys = {section.key for section in sections}
    keys |= {setting.key for section in sections for setting in section.settings}
    for section in sections:
        if section.same_as:
            inside = f"{section.same_as}."
            keys |= {section.key + key[len(inside) - 1 :] for key in keys if key.startswith(inside)}
    return {key.replace("[]", "") for key in keys if "." in key}


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
