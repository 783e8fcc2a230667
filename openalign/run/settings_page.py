"""Writes the page of all settings: `python -m openalign.run.settings_page > docs/settings.md`.

What the page says of a setting stands in the config classes; only the introduction stands here.
"""

import re
import sys
import textwrap
from collections.abc import Iterator

from openalign.run.config import PipelineConfig
from openalign.settings.sentences import Setting, SettingsSection, sections_of

SETTINGS_PAGE = "docs/settings.md"
COMMAND = f"python -m openalign.run.settings_page > {SETTINGS_PAGE}"

_INTRODUCTION = f"""\
# Settings

This page is generated from the config classes. Do not edit it. Change the sentence under a field,
then run `{COMMAND}`.

## How to set values

- `pipelines.yaml` holds pipelines by name, and below a name one section a stage. The path of keys
  is the name that this page, errors and `--set` use: `train.zero.stage` is
  `train: {{zero: {{stage: 2}}}}`.
- `extends: NAME` starts from another pipeline of the file. What the pipeline says itself lies on
  top, key by key. A list replaces the whole list. A section with another `kind` replaces the whole
  section.
- `--set KEY=VALUE` changes a setting for one run, as in `openalign train demo --set train.seed=1`.
  It may be given more than once, and the last one wins. The value is YAML: `null`, `[en, de]` and
  `{{steps: 100}}` work too.
- Numbers are decimal: `1000`, `1_000`, `1e-3`. `010`, `0x10` and `2:00`, which YAML takes for other
  numbers, are refused.
- `{{root}}` in a text stands for the root of the run.
- Precedence, lowest first: the default, the pipeline that `extends` names, the pipeline itself,
  `--set`.

`openalign validate NAME` prints a pipeline with every setting. With `--explain` the sentences of
this page stand above the values. Both print YAML that can be used as a `pipelines.yaml`.

## How to read the tables

- `[]` in a key stands for each item of a list, and `NAME` for each key of a mapping. `--set`
  changes a list as a whole.
- A default is the paper's value where the paper gives one. A setting that "must be set" has none.
  A section with "its own defaults" may be left out where nothing in it must be set.
- A section of one of several kinds says which by `kind:`.
- A setting that *is no part of the fingerprint* says how the work is done: no stage runs again when
  it changes.
- A setting that says *where an input lies* is no part of it either: the content of the input
  counts, and its place does not.
- The last column names the place in the paper (ALIGN, Jia et al., ICML 2021) that a sentence cites.
"""
_HEADER = "| setting | type | default | what it does | paper |\n|---|---|---|---|---|\n"
_WIDTH = 120


def page() -> str:
    """Return the page as Markdown; lines outside tables have at most 120 characters."""
    return "\n".join([_INTRODUCTION, *_sections(sections_of(PipelineConfig))])


def _sections(sections: list[SettingsSection]) -> Iterator[str]:
    headings = {section.key: _heading(section) for section in reversed(sections)}
    for section in sections:
        level = "##" if re.fullmatch(r"\w*", section.key) else "###"
        yield f"{level} {_heading(section)}\n"
        if section.same_as:
            link = f"[`{section.same_as}`](#{_anchor(headings[section.same_as])})"
            yield f"The settings are those of {link}.\n"
            continue
        yield f"{_filled(section.summary)}\n"
        # A pipeline's name is its key in the file.
        rows = [_row(setting) for setting in section.settings if setting.key != "name"]
        yield _HEADER + "".join(rows)


def _heading(section: SettingsSection) -> str:
    if not section.key:
        return "A pipeline"
    return f"`{section.key}`" + (f", kind `{section.kind}`" if section.kind else "")


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _row(setting: Setting) -> str:
    what = setting.sentence
    if setting.mark:
        what += f" *{setting.mark[0].upper()}{setting.mark[1:]}.*"
    cells = (f"`{setting.key}`", setting.type, setting.default, what, setting.paper)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _filled(summary: str) -> str:
    paragraphs = re.split(r"\n\s*\n", summary)
    return "\n\n".join(
        textwrap.fill(
            " ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False
        )
        for text in paragraphs
    )


if __name__ == "__main__":
    sys.stdout.write(page())
