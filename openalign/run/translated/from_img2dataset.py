"""`openalign init NAME --from-img2dataset "img2dataset --url_list=..."`: a command as a pipeline.

Each argument that the command gives becomes a setting, or a comment that says why it does not. The
pipeline is checked like any other before it is shown.
"""

import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from openalign.errors import ConfigError
from openalign.run.config import resolved
from openalign.run.settings_files import pipelines_in
from openalign.run.translated.img2dataset_arguments import ARGUMENTS, Given, Translation, parsed
from openalign.settings.limits import short_name
from openalign.settings.yaml_reader import did_you_mean

_PROGRAM = "img2dataset"
_WIDTH = 112
_LINE_GOES_ON = re.compile(r"\\[ \t\r]*(?:\n|\Z)")
_WORD = r"""(?:[^\s'"\\<>|&;]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+"""
_PART = re.compile(
    rf"(?:\d*|&)(?:[<>]+[&|]?)\s*(?:{_WORD})?|(?P<end>[|&;\#])|(?P<word>{_WORD})|\s+|(?P<odd>.)",
    re.DOTALL,
)
"""Of a line: where output goes, as `2>&1`; what ends a command; and words, quoted as they are."""

_EXAMPLE = "img2dataset --url_list=pairs.parquet --input_format=parquet --caption_col=caption"


def pipeline_text(name: str, command: str) -> str:
    """Return a pipeline as it stands in a settings file.

    Raises:
        ConfigError: the command cannot be read, an argument is not known or has no meaning here, or
            the name cannot be that of a pipeline.
    """
    try:
        short_name(NAME=name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    given = arguments_of(command)
    _require_pairs(given)
    translations = {each: ARGUMENTS[each](value, given) for each, value in given.items()}
    text = _yaml(name, _sections(translations), list(_comments(given, translations)))
    [node] = pipelines_in(text, f"what `{_PROGRAM}` was told").values()
    resolved(node, name=name, file=f"what `{_PROGRAM}` was told")
    return text


def arguments_of(command: str) -> dict[str, Any]:
    """Return the arguments that a command gives, by name, in its order.

    `--a=b`, `--a b`, `--a` for true and `--noa` for false are read, as are values without a name.
    What a shell takes for itself is left out.

    Raises:
        ConfigError: a quotation mark is not closed, an argument is not known or given twice.
    """
    try:
        tokens = shlex.split(_without_shell(_LINE_GOES_ON.sub(" ", command)))
    except ValueError as error:
        raise ConfigError(f"the command cannot be read: {error}", hint=_EXAMPLE) from error
    given: dict[str, Any] = {}
    unnamed = iter(ARGUMENTS)
    for word, value in _pairs(_without_program(tokens)):
        name = next(unnamed, "") if word is None else _known(word)
        if word is not None and name != word and value is None:
            value = "False"  # noqa: PLW2901  # --noNAME
        if name in given or not name:
            raise ConfigError(f"`{name or value}` is given twice or too often")
        given[name] = True if value is None else parsed(value)
    return given


def _without_program(tokens: Sequence[str]) -> Sequence[str]:
    """Leave out what stands before the arguments: `img2dataset`, `python -m img2dataset`."""
    places = [at for at, token in enumerate(tokens) if token.rpartition("/")[2] == _PROGRAM]
    start = places[0] + 1 if places and not tokens[0].startswith("--") else 0
    return tokens[start:]


def _without_shell(command: str) -> str:
    """Leave out where output goes, as `> log 2>&1`, a remark, and other commands beside it."""
    commands = [""]
    for part in _PART.finditer(command):
        if part["end"] == "#":
            break
        if part["end"]:
            commands.append("")
        else:
            commands[-1] += part["word"] or part["odd"] or " "
    return next((one for one in commands if _PROGRAM in re.split(r"[\s/]+", one)), commands[0])


def _pairs(tokens: Sequence[str]) -> Iterator[tuple[str | None, str | None]]:
    """Yield names with their values; a value may lack a name, and a name a value."""
    at = 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if not token.startswith("-") or _is_number(token):
            yield None, token
            continue
        name, equals, value = token.lstrip("-").partition("=")
        name = name.replace("-", "_")
        if equals:
            yield name, value
        elif at < len(tokens) and (not tokens[at].startswith("-") or _is_number(tokens[at])):
            yield name, tokens[at]
            at += 1
        else:
            yield name, None


def _is_number(token: str) -> bool:
    return isinstance(parsed(token), (int, float))


def _known(name: str) -> str:
    """Return the argument that a name stands for; `noNAME` stands for NAME."""
    if name in ARGUMENTS:
        return name
    if name.startswith("no") and name[2:] in ARGUMENTS:
        return name[2:]
    raise ConfigError(
        f"img2dataset has no argument `{name}`",
        hint=did_you_mean(name, ARGUMENTS) or f"it has {', '.join(ARGUMENTS)}",
    )


def _require_pairs(given: Given) -> None:
    """Refuse a command that names no table with captions."""
    if given.get("url_list") is None:
        raise ConfigError("the command names no `url_list`", hint=_EXAMPLE)
    ARGUMENTS["input_format"](given.get("input_format", "txt"), given)
    if given.get("caption_col") is None:
        raise ConfigError(
            "the command names no `caption_col`, and a pair needs a text",
            hint="name the column with the captions: --caption_col=TEXT",
        )


def _sections(translations: dict[str, Translation]) -> dict[str, Any]:
    """Return the settings as nested sections, in the order in which a run comes to them."""
    sections: dict[str, Any] = {
        "web": {"contact": ""},
        "harvest": {"source": {"kind": "table"}},
        "fetch": {},
        "select": {},
    }
    for translation in translations.values():
        for key, value in translation.settings.items():
            *parents, last = key.split(".")
            section = sections
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
    root = {"root": sections.pop("root")} if "root" in sections else {}
    return root | {name: section for name, section in sections.items() if section}


def _comments(given: Given, translations: dict[str, Translation]) -> Iterator[str]:
    """Yield a line for each argument: the settings that it became, or why it became none."""
    for name, translation in translations.items():
        keys = ", ".join(key for key in translation.settings if key != "harvest.source.kind")
        become = f" -> {keys}" if keys else ""
        remark = f": {translation.remark}" if translation.remark else ""
        yield f"{name}={given[name]}{become}{remark}"


def _yaml(name: str, sections: dict[str, Any], comments: Sequence[str]) -> str:
    lines = [
        "# From img2dataset. What each of its arguments became, or why it became nothing:",
        *(f"#   {line}" for each in comments for line in _wrapped(each)),
        "# What is not said here has ALIGN's values: `filter` and `select` drop pairs that",
        "# img2dataset keeps, and robots.txt is obeyed (docs/coming_from_img2dataset.md).",
    ]
    body = yaml.safe_dump({name: sections}, sort_keys=False, allow_unicode=True, width=_WIDTH)
    contact = "    contact: ''"
    told = f"{contact}  # set this: an e-mail address or a URL where a host's owner can reach you"
    assert contact in body, "the contact is one of the settings"
    return "\n".join([*lines, body.replace(contact, told, 1)])


def _wrapped(text: str) -> list[str]:
    # A line break in a value must not end the comment.
    words = " ".join(text.split())
    return textwrap.wrap(words, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
