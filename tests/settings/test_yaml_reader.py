from dataclasses import dataclass, field
from typing import Literal

import pytest

from openalign.errors import ConfigError
from openalign.settings.fields import renamed, usually_called
from openalign.settings.yaml_reader import Place, compose, merged, override_node


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    kind: Literal["site"] = "site"
    seeds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    kind: Literal["table"] = "table"
    path: str


@usually_called({"aspect": "ratio"})
@renamed({"min_size": "write `above_px: 200`"})
@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    above_px: int = 200
    ratio: float = 3.0

    def __post_init__(self) -> None:
        if self.ratio <= 1:
            raise ValueError(f"ratio must be above 1, got {self.ratio}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    source: Site | Table = field(default_factory=Site)
    rules: Rules = field(default_factory=Rules)
    decay: Literal["linear", "cosine"] = "linear"
    layout: Literal["", "wide"] = ""
    top_k: int | None = 5
    hosts: dict[str, str] = field(default_factory=dict)
    on: bool = False
    many: tuple[Rules, ...] = ()


def read(text: str, *overrides: str) -> Config:
    node = compose(text, "p.yaml")
    for override in overrides:
        node = merged(node, override_node(override))  # type: ignore[arg-type]
    assert node is not None
    return Place("p.yaml", "").read(Config, node)  # type: ignore[no-any-return]


def test_what_is_not_said_has_its_default() -> None:
    assert read("on: true") == Config(on=True)


def test_every_kind_of_value_is_read() -> None:
    config = read(
        "source: {kind: table, path: a.csv}\nrules: {ratio: 2}\ndecay: cosine\ntop_k: null\n"
        "hosts: {a: 'b:1'}\nmany: [{above_px: 1}, {above_px: 2}]"
    )

    assert config == Config(
        source=Table(path="a.csv"),
        rules=Rules(ratio=2.0),
        decay="cosine",
        top_k=None,
        hosts={"a": "b:1"},
        many=(Rules(above_px=1), Rules(above_px=2)),
    )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        pytest.param(
            "rules:\n  abov_px: 1",
            "p.yaml:2: `rules.abov_px` is not a setting",
            "did you mean `rules.above_px`?",
            id="unknown key",
        ),
        pytest.param(
            "above_px: 1",
            "p.yaml:1: `above_px` is not a setting",
            "did you mean `rules.above_px`?",
            id="a key of another section",
        ),
        pytest.param(
            "rules:\n  min_size: 1",
            "p.yaml:2: `rules.min_size` is no longer a setting",
            "write `above_px: 200`",
            id="an old key",
        ),
        pytest.param(
            "rules: {above_px: 1.5e0}",
            "p.yaml:1: `rules.above_px` must be a whole number, got '1.5e0'",
            None,
            id="a fraction with an exponent for a whole number",
        ),
        pytest.param(
            "rules: {above_px: 2.5}",
            "p.yaml:1: `rules.above_px` must be a whole number, got 2.5",
            None,
            id="a fraction for a whole number",
        ),
        pytest.param(
            "on: 1", "p.yaml:1: `on` must be true or false, got 1", None, id="a number for a switch"
        ),
        pytest.param(
            "decay: cosin",
            "p.yaml:1: `decay` must be one of linear, cosine, got 'cosin'",
            "did you mean `cosine`?",
            id="not a choice",
        ),
        pytest.param(
            "layout: tall",
            "p.yaml:1: `layout` must be one of '', wide, got 'tall'",
            None,
            id="not a choice, of which one is empty",
        ),
        pytest.param(
            "rules: {ratio: 1}",
            "p.yaml:1: `rules` ratio must be above 1, got 1.0",
            None,
            id="a rule of the dataclass",
        ),
        pytest.param(
            "source: {path: a}",
            "p.yaml:1: `source` has no `kind:`",
            "kinds are: site, table",
            id="no kind",
        ),
        pytest.param(
            "source: {kind: warc}",
            "p.yaml:1: `source` has kind `warc`",
            "kinds are: site, table",
            id="unknown kind",
        ),
        pytest.param(
            "source: {kind: table}",
            "p.yaml:1: `source.path` must be set",
            None,
            id="a required key",
        ),
        pytest.param(
            "source: {kind: site, seeds: a}",
            "p.yaml:1: `source.seeds` must be a list, got 'a'",
            "write [a]",
            id="a text for a list",
        ),
        pytest.param(
            "rules: 3",
            "p.yaml:1: `rules` must be a section, got 3",
            "write {above_px: 200, ratio: 3.0}",
            id="not a section",
        ),
        pytest.param(
            "source: a.csv",
            "p.yaml:1: `source` must be a section, got 'a.csv'",
            "write one of {kind: site}, {kind: table, path: ...}",
            id="not a section of any kind",
        ),
        pytest.param(
            "rules: {ratio: .nan}",
            "p.yaml:1: `rules.ratio` must be a finite number, got nan",
            None,
            id="not a number",
        ),
        pytest.param(
            "on: !maybe true",
            "p.yaml:1: has the tag `!maybe`, which means nothing here",
            None,
            id="a tag",
        ),
        pytest.param("? [a, b]\n: 1", "p.yaml:1: a key must be text", None, id="a list as key"),
        pytest.param(
            "rules: &r {a: *r}",
            "p.yaml:1: stands inside itself, through an alias",
            None,
            id="a loop",
        ),
        pytest.param("on: true\non: false", "p.yaml:2: `on` stands here twice", None, id="twice"),
        pytest.param(
            "many: [{above_px: 1}, {ratio: x}]",
            "p.yaml:1: `many[1].ratio` must be a number, got 'x'",
            None,
            id="inside a list",
        ),
    ],
)
def test_an_error_names_file_line_and_key(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)

    assert str(caught.value) == message
    assert caught.value.hint == hint


def test_text_that_is_no_yaml_is_an_error_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"^p\.yaml:2: is not YAML"):
        read("rules:\n  - a: [")


def test_an_override_wins_and_is_named_in_its_errors() -> None:
    assert read("rules: {above_px: 1, ratio: 2}", "rules.above_px=7").rules == Rules(
        above_px=7, ratio=2.0
    )
    with pytest.raises(ConfigError, match=r"^--set rules\.above_px: `rules\.above_px` must be"):
        read("on: true", "rules.above_px=x")
    with pytest.raises(ConfigError, match="must be KEY=VALUE"):
        read("on: true", "rules.above_px")


@pytest.mark.parametrize(
    ("ratio_in_file", "override", "place"),
    [
        pytest.param("0.5", "rules.above_px=2", r"p\.yaml:2", id="the file's"),
        pytest.param("2.0", "rules.ratio=0.5", r"--set rules\.ratio", id="an override's"),
    ],
)
def test_an_error_about_a_whole_section_points_to_what_it_names(
    ratio_in_file: str, override: str, place: str
) -> None:
    text = f"on: true\nrules: {{above_px: 1, ratio: {ratio_in_file}}}"

    with pytest.raises(ConfigError, match=f"^{place}: `rules` ratio must be above 1"):
        read(text, override, "rules.above_px=3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    most: float = 5.0
    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        if self.rules.ratio > self.most:
            raise ValueError(f"rules.ratio must be at most {self.most}, got {self.rules.ratio}")


@pytest.mark.parametrize("override", ["rules.ratio=6", "rules={ratio: 6}"])
@pytest.mark.parametrize("text", ["most: 5", "most: 5\nrules: {above_px: 1, ratio: 2}"])
def test_an_error_about_two_sections_points_to_the_override_in_the_inner_one(
    text: str, override: str
) -> None:
    node = compose(text, "p.yaml")
    over = merged(node, override_node("rules.above_px=3"))  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=r"^--set rules(\.ratio)?: `` rules\.ratio must be at"):
        Place("p.yaml", "").read(Bounded, merged(over, override_node(override)))


def test_a_section_of_another_kind_replaces_the_whole_section() -> None:
    config = read("source: {kind: site, seeds: [a]}", "source={kind: table, path: b}")

    assert config.source == Table(path="b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    texts: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    shapes: tuple[Literal["square", "wide"], ...] = ()
    path: str | tuple[str, ...] = ""
    rate: float = 1.0
    steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    mode: Literal["auto", "off"] = "auto"
    is_on: bool = True


def typed(*overrides: str) -> Typed:
    node = compose("rate: 2.0", "p.yaml")
    for override in overrides:
        node = merged(node, override_node(override))  # type: ignore[arg-type]
    assert node is not None
    return Place("p.yaml", "").read(Typed, node)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("rate=1e-3", Typed(rate=0.001)),
        ("rate=.5E2", Typed(rate=50.0)),
        ("rate=-2E-3", Typed(rate=-0.002)),
        ("rate=1.5e3", Typed(rate=1500.0)),
        ("steps=1e6", Typed(rate=2.0, steps=1_000_000)),
        ("steps=null", Typed(rate=2.0)),
        ("texts=alt", Typed(rate=2.0, texts=("alt",))),
        ("texts=a, b", Typed(rate=2.0, texts=("a, b",))),
        ("texts=[a, b]", Typed(rate=2.0, texts=("a", "b"))),
        ("sizes=3", Typed(rate=2.0, sizes=(3,))),
        ("shapes=square, wide", Typed(rate=2.0, shapes=("square", "wide"))),
        ("path=a.csv", Typed(rate=2.0, path="a.csv")),
        ("path=*.csv", Typed(rate=2.0, path="*.csv")),
        ("path=%a", Typed(rate=2.0, path="%a")),
        ("path=", Typed(rate=2.0, path="")),
        ("path=[a.csv, b.csv]", Typed(rate=2.0, path=("a.csv", "b.csv"))),
    ],
)
def test_what_people_type_in_a_shell_is_understood(override: str, expected: Typed) -> None:
    assert typed(override) == expected


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        ("010", "write 10, or 8 if it is octal"),
        ("-010", "write -10, or -8 if it is octal"),
        ("007", "write 7"),
        ("08", "write 8"),
        ("0_8", "write 8"),
        ("0x10", "write 16"),
        ("0b101", "write 5"),
        ("0o10", "write 8"),
        ("2:00:00", "write one number without colons, in the unit of the setting: 120 for two ho"),
        ("1:30", "write one number without colons, in the unit of the setting: 120 for two hours"),
        ("0b_", None),
    ],
)
@pytest.mark.parametrize("key", ["steps", "rate"])
def test_numbers_that_yaml_reads_as_others_are_refused(
    key: str, number: str, hint: str | None
) -> None:
    wanted = {"steps": "a whole number", "rate": "a number"}[key]
    with pytest.raises(ConfigError) as caught:
        typed(f"{key}={number}")

    assert str(caught.value) == f"--set {key}: `{key}` must be {wanted}, got '{number}'"
    assert (caught.value.hint or "").startswith(hint or "")
    assert bool(caught.value.hint) == bool(hint)


@pytest.mark.parametrize("number", ["0.5", "-0.5", "1.5"])
def test_a_fraction_where_a_whole_number_is_wanted_has_no_other_spelling(number: str) -> None:
    with pytest.raises(ConfigError, match="must be a whole number") as caught:
        typed(f"steps={number}")

    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [("08.5", "8.5"), ("00.5", "0.5"), ("190:20:30.15", "one number without colons")],
)
def test_fractions_that_yaml_reads_as_others_are_refused(text: str, meant: str) -> None:
    node = compose(f"rate: {text}", "p.yaml")
    assert node is not None
    with pytest.raises(
        ConfigError, match=f"p.yaml:1: `rate` must be a number, got '{text}'"
    ) as got:
        Place("p.yaml", "").read(Typed, node)

    assert f"write {meant}" in str(got.value.hint)


@pytest.mark.parametrize(
    ("number", "value"),
    [("0", 0), ("10", 10), ("+5", 5), ("-3", -3), ("1_000_000", 1_000_000), ("1e3", 1000)],
)
def test_decimal_numbers_are_read(number: str, value: int) -> None:
    assert typed(f"steps={number}").steps == value
    assert typed(f"rate={number}").rate == value
    assert typed("rate=.5").rate == 0.5
    assert typed("rate=1.").rate == 1.0


@pytest.mark.parametrize(
    "text", ["010", "12:30", "0x10", "0b1", "no", "Yes", "on", "OFF", "2026-01-31", "2026-13-45"]
)
def test_text_is_kept_as_it_is_typed(text: str) -> None:
    assert typed(f"path={text}").path == text
    assert read(f"hosts: {{a: {text}}}").hosts == {"a": text}


def test_a_choice_that_yaml_takes_for_false_is_one() -> None:
    node = compose("mode: off\nis_on: off", "p.yaml")
    assert node is not None
    assert Place("p.yaml", "").read(Switched, node) == Switched(mode="off", is_on=False)


def test_in_a_file_a_list_is_written_as_one() -> None:
    node = compose("texts: alt", "p.yaml")
    assert node is not None
    with pytest.raises(ConfigError, match=r"p.yaml:1: `texts` must be a list, got 'alt'"):
        Place("p.yaml", "").read(Typed, node)


@pytest.mark.parametrize("value", ["null", "~", ""])
def test_no_list_is_written_as_an_empty_one(value: str) -> None:
    with pytest.raises(ConfigError, match="--set texts: `texts` must be a list, got") as refused:
        typed(f"texts={value}")

    assert refused.value.hint == "write [a, b], or [] for none"


def test_a_text_for_a_text_or_a_list_of_them_is_named_by_what_was_found() -> None:
    with pytest.raises(ConfigError, match="--set path: `path` must be text, got 5"):
        typed("path=5")


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("ruels.ratio=2", "did you mean `rules.ratio`?"),
        ("rules.ration=2", "did you mean `rules.ratio`?"),
        ("ratio=2", "did you mean `rules.ratio`?"),
        ("source.ratio=2", None),
        ("seeds=[a]", "did you mean `source.seeds`?"),
        ("aspect=2", "did you mean `rules.ratio`?"),
        ("rules.aspect=2", "did you mean `rules.ratio`?"),
        ("pipeline.rules.ratio=2", "did you mean `rules.ratio`?"),
        ("rules.rules.above_px=2", "did you mean `rules.above_px`?"),
        ("pipeline.rules.aspect=2", "did you mean `rules.ratio`?"),
        ("pipeline.hosts.a=b", "did you mean `hosts.a`?"),
        ("pipeline.qqq=2", None),
        ("pipeline.rules.qqq=2", "did you mean `rules`?"),
        ("pipeline.rules.ration=2", "did you mean `rules.ratio`?"),
        ("pipeline.many.qqq=2", "did you mean `many`?"),
        ("pipeline.on=true", "did you mean `on`?"),
        ("ruels.aspect=2", "did you mean `rules.ratio`?"),
        ("ruels.qqq=2", "did you mean `rules`?"),
        ("host.a=b", "did you mean `hosts.a`?"),
    ],
)
def test_a_key_with_a_typo_gets_a_whole_key_that_there_is(override: str, hint: str | None) -> None:
    with pytest.raises(ConfigError, match="is not a setting") as caught:
        read("source: {kind: site}", override)

    assert caught.value.hint == hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    config: Config = field(default_factory=Config)
    limits: Limits = field(default_factory=Limits)
    again: tuple[Limits, ...] = ()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("limits: {seeds: [a]}", "did you mean `config.source.seeds`?", id="section"),
        pytest.param("again: [{ratio: 2}]", "did you mean `config.rules.ratio`?", id="in a list"),
        pytest.param("limits: {qqq: 2}", None, id="nowhere"),
        pytest.param("config: {rules: {top_k: 2}}", "did you mean `config.top_k`?", id="above"),
    ],
)
def test_a_key_in_the_wrong_section_is_looked_for_in_all(text: str, hint: str | None) -> None:
    node = compose(text, "p.yaml")
    assert node is not None

    with pytest.raises(ConfigError, match="is not a setting") as caught:
        Place("p.yaml", "", root=Whole).read(Whole, node)

    assert caught.value.hint == hint
