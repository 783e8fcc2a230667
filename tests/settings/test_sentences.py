from dataclasses import dataclass, field
from typing import Literal

import pytest
import yaml

from openalign.settings.fields import LOCATION, RUNTIME, location, runtime, runtime_factory
from openalign.settings.sentences import Setting, SettingsSection, sections_of, sentences_under


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A web site."""

    kind: Literal["site"] = "site"
    """Which source: a site."""

    seeds: tuple[str, ...]
    """First pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table."""

    kind: Literal["table"] = "table"
    """Which source: a table."""

    path: str = location()
    """The file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """How the web is asked."""

    seconds: float = runtime(1e-5)
    """Longest time,
    in seconds."""

    hosts: dict[str, str] = runtime_factory(dict[str, str])  # noqa: RUF009  # a field
    """Where hosts are reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Rules."""

    ratio: float = 3.0
    """Largest ratio (ALIGN §3)."""

    web: Web = field(default_factory=Web)
    """How addresses are checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole."""

    source: Site | Table
    """Where it comes from."""

    backup: Table | None = None
    """Where else it lies."""

    web: Web = field(default_factory=lambda: Web(seconds=2.0))
    """How it is asked."""

    rules: tuple[Rules, ...] = ()
    """Rules, in their order."""

    named: dict[str, Table] = field(default_factory=dict[str, Table])
    """Tables by name."""

    sources: tuple[Site | Table, ...] = ()
    """More sources."""

    steps: int | None = 1_200_000
    """Updates."""

    decay: Literal["linear", "cosine"] = "linear"
    """Shape of the fall."""

    languages: tuple[str, ...] = ("en", "no")
    """Languages that are kept."""

    on: bool = False
    """Whether it is on."""


def sections() -> list[SettingsSection]:
    return sections_of(Config)


def setting(key: str) -> Setting:
    (found,) = [one for section in sections() for one in section.settings if one.key == key]
    return found


def test_sections_stand_in_the_order_of_use_and_each_class_once_in_full() -> None:
    assert [(one.key, one.kind, one.same_as) for one in sections()] == [
        ("", "", ""),
        ("source", "site", ""),
        ("source", "table", ""),
        ("backup", "table", "source"),
        ("web", "", ""),
        ("rules[]", "", ""),
        ("rules[].web", "", "web"),
        ("named.NAME", "table", "source"),
        ("sources[]", "site", "source"),
        ("sources[]", "table", "source"),
    ]
    assert [len(one.settings) for one in sections()] == [10, 2, 2, 0, 2, 2, 0, 0, 0, 0]
    assert sections()[1].summary == "A web site."


@pytest.mark.parametrize(
    ("key", "words", "default"),
    [
        pytest.param("source", "one of the kinds `site`, `table`", "must be set", id="kinds"),
        pytest.param("source.kind", "`site`", "must be set", id="a choice of kinds"),
        pytest.param("source.seeds", "list of text", "must be set", id="no default"),
        pytest.param("backup", "a section of kind `table` or null", "`null`", id="optional"),
        pytest.param("web", "a section", "`{seconds: 2.0}`", id="a section of other defaults"),
        pytest.param("rules", "list of sections", "`[]`", id="a list of sections"),
        pytest.param("rules[].web", "a section", "its own defaults", id="a section"),
        pytest.param(
            "named", "mapping of names to sections of kind `table`", "`{}`", id="a mapping"
        ),
        pytest.param(
            "sources", "list of sections, each one of the kinds `site`, `table`", "`[]`", id="both"
        ),
        pytest.param("steps", "a whole number or null", "`1_200_000`", id="a large number"),
        pytest.param("web.seconds", "a number", "`1.0e-05`", id="a small number"),
        pytest.param("web.hosts", "mapping of names to text", "`{}`", id="a mapping of text"),
        pytest.param("decay", "one of `linear`, `cosine`", "`linear`", id="a choice"),
        pytest.param("languages", "list of text", '`[en, "no"]`', id="what YAML takes for a bool"),
        pytest.param("on", "true or false", "`false`", id="a bool"),
    ],
)
def test_type_and_default_in_words(key: str, words: str, default: str) -> None:
    if key == "source.kind":
        found = sections()[1].settings[0]
        assert found.key == key
    else:
        found = setting(key)

    assert (found.type, found.default) == (words, default)


def test_a_default_is_yaml_for_the_value() -> None:
    read = {key: yaml.safe_load(setting(key).default.strip("`")) for key in ("steps", "web")}

    assert read == {"steps": 1_200_000, "web": {"seconds": 2.0}}
    assert yaml.safe_load(setting("web.seconds").default.strip("`")) == 1e-5
    assert yaml.safe_load(setting("languages").default.strip("`")) == ["en", "no"]


def test_what_is_no_part_of_the_identity_says_why() -> None:
    assert setting("web.seconds").mark == setting("web.hosts").mark == RUNTIME
    assert setting("source.path").mark == LOCATION
    assert setting("steps").mark == ""


def test_a_sentence_is_one_line_whatever_its_source_looks_like() -> None:
    assert setting("web.seconds").sentence == "Longest time, in seconds."


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """Citations."""

    alone: int = 0
    """Keep what is larger (ALIGN §3)."""

    with_words: int = 0
    """Shorter side (ALIGN §5: 346 for a crop of 289); smaller ones stay."""

    two: int = 0
    """As there (ALIGN §4.1 and §5)."""

    appendix: int = 0
    """Copies (§3 and appendix A)."""

    equation: int = 0
    """The loss of Eq. 1, in §4.1."""

    another: int = 0
    """Freshness (RFC 9111 §4.2.1)."""

    none: int = 0
    """Seed (a number)."""


@pytest.mark.parametrize(
    ("name", "sentence", "paper"),
    [
        ("alone", "Keep what is larger.", "§3"),
        ("with_words", "Shorter side (346 for a crop of 289); smaller ones stay.", "§5"),
        ("two", "As there.", "§4.1, §5"),
        ("appendix", "Copies.", "§3, appendix A"),
        ("equation", "The loss of Eq. 1, in §4.1.", "Eq. 1, §4.1"),
        ("another", "Freshness (RFC 9111 §4.2.1).", ""),
        ("none", "Seed (a number).", ""),
    ],
)
def test_a_reference_to_the_paper_has_its_own_place(name: str, sentence: str, paper: str) -> None:
    (section,) = sections_of(Cited)
    (found,) = [one for one in section.settings if one.key == name]

    assert (found.sentence, found.paper) == (sentence, paper)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    first: int = 0
    """Said."""

    second: int = 0
    third: int = 0


def test_a_field_without_a_sentence_is_an_error_that_names_it() -> None:
    with pytest.raises(AssertionError, match=r"Silent: no sentence stands under second, third"):
        sentences_under(Silent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wider(Rules):
    """Rules, and one more."""

    width: int = 1
    """Width."""


def test_an_inherited_setting_keeps_its_sentence() -> None:
    assert list(sentences_under(Wider)) == ["ratio", "web", "width"]
