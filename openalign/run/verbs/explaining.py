"""What a setting does: the sentence, type, default and source that docs/settings.md has of it."""

import difflib
import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from openalign.errors import ConfigError
from openalign.run.config import PipelineConfig
from openalign.settings.sentences import Setting, SettingsSection, sections_of
from openalign.settings.yaml_reader import did_you_mean

_WIDTH = 96


def lines(key: str) -> Iterator[str]:
    """Yield the explanation of a setting or a section; of all sections where the key is empty.

    A key may be the end of a longer one: `seed` explains `train.seed` and `evaluate.seed`.

    Raises:
        ConfigError: there is no such setting.
    """
    sections = all_sections()
    if not key:
        yield from _overview(sections)
        return
    of_section = [each for each in sections if each.key == key]
    settings = settings_named(key)
    if not of_section and not settings:
        known = {setting.key for each in sections for setting in each.settings}
        ends = {name.rpartition(".")[2] for name in known}
        raise ConfigError(
            f"explain {key}: there is no such setting",
            hint=did_you_mean(key, known)
            or did_you_mean(key, ends)
            or _with_a_word_like(key, ends)
            or "`openalign explain` lists the sections, and docs/settings.md every setting",
        )
    for section, setting in settings:
        if len(of_section) != 1:  # else the section itself says more
            yield from _setting(section, setting)
    for section in of_section:
        yield from _section(section)


def kind_lines(key: str, kind: str) -> Iterator[str]:
    """Yield what the settings of one kind of a section do; `kind:` itself is left out."""
    for section in all_sections():
        if (section.key, section.kind) == (key, kind):
            for setting in section.settings:
                if _last(setting) != "kind":
                    yield from _setting(section, setting)


def _with_a_word_like(key: str, names: Collection[str]) -> str | None:
    """Return a hint that has the names of settings in which a word like this one stands."""
    words = {word for name in names for word in name.split("_")}
    close = difflib.get_close_matches(key, sorted(words), n=1)
    found = sorted(name for name in names if close and close[0] in name.split("_"))
    return f"did you mean {' or '.join(f'`{name}`' for name in found[:3])}?" if found else None


def settings_named(key: str) -> list[tuple[SettingsSection, Setting]]:
    """Return the settings of a key, with their sections: one a kind where kinds share a name."""
    every = [(section, setting) for section in all_sections() for setting in section.settings]
    whole = [(section, setting) for section, setting in every if setting.key == key]
    return whole or [
        (section, setting) for section, setting in every if setting.key.endswith(f".{key}")
    ]


def all_keys() -> list[str]:
    """Return the keys of all settings, sections among them, in order."""
    every = (setting.key for section in all_sections() for setting in section.settings)
    return list(dict.fromkeys(every))


def keys_with_values() -> list[str]:
    """Return the keys that `--set` can give a value: of no section, and of no list's entry."""
    sections = {section.key for section in all_sections()}
    return [
        key
        for key in all_keys()
        if key not in {"name", "benchmarks", *sections}
        and not any(part == "NAME" or part.endswith("[]") for part in key.split("."))
    ]


def all_sections() -> list[SettingsSection]:
    """Return all sections of a pipeline, those that are alike with settings of their own, too."""
    found = sections_of(PipelineConfig)
    first = {section.key: section for section in found if not section.same_as}
    return [_of_its_own(section, first) for section in found]


def _of_its_own(section: SettingsSection, first: dict[str, SettingsSection]) -> SettingsSection:
    if not section.same_as:
        return section
    settings = first[section.same_as].settings
    moved = (
        replace(setting, key=section.key + setting.key.removeprefix(section.same_as))
        for setting in settings
    )
    return replace(section, settings=tuple(moved), same_as="")


def _overview(sections: Sequence[SettingsSection]) -> Iterator[str]:
    (whole, *_) = sections
    width = max(len(setting.key) for setting in whole.settings)
    for setting in whole.settings:
        if setting.key != "name":
            yield f"{setting.key:{width}}  {_first_sentence(setting.sentence)}"
    yield ""
    yield "openalign explain KEY says more, for example openalign explain filter.text"


def _section(section: SettingsSection) -> Iterator[str]:
    yield f"{section.key}{f', kind {section.kind}' if section.kind else ''}"
    yield from _filled(_first_paragraph(section.summary))
    width = max((len(_last(setting)) for setting in section.settings), default=0)
    for setting in section.settings:
        yield f"  {_last(setting):{width}}  {setting.default.strip('`')}"
    yield ""


def _setting(section: SettingsSection, setting: Setting) -> Iterator[str]:
    yield f"{setting.key}{f', of the kind {section.kind}' if section.kind else ''}"
    yield f"  {setting.type.replace('`', '')}; default: {setting.default.strip('`')}"
    yield from _filled(setting.sentence)
    if setting.paper:
        yield f"  The paper: {setting.paper}."
    if setting.mark:
        yield f"  {setting.mark[0].upper()}{setting.mark[1:]}."
    yield ""


def _last(setting: Setting) -> str:
    return setting.key.rpartition(".")[2]


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".")


def _filled(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
