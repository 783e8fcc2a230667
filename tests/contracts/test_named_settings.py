"""Settings that messages and pages name are settings."""

import ast
import re
from pathlib import Path
from typing import TypeGuard

import pytest

from openalign.run.config import PipelineConfig
from openalign.run.verbs.explaining import all_sections
from openalign.settings.sentences import sections_of

ROOT = Path(__file__).parents[2]
ROOMS = ("openalign", "ingest", "filtering", "train", "evaluate")
SECTIONS = [setting.key for setting in sections_of(PipelineConfig)[0].settings]
NAMED = re.compile(rf"[`\s(]((?:{'|'.join(SECTIONS)})\.[a-z_]+(?:\.[a-z_]+)*)(?=[`=:\s,.)])")

KNOWN = {setting.key.replace("[]", "") for each in all_sections() for setting in each.settings}
KNOWN |= {section.key.replace("[]", "") for section in all_sections()}

FILES = re.compile(r"\.(py|html|md|json|jsonl|txt|yaml|parquet|arrow|toml)$")
"""Endings of names that look like keys and are those of files."""

ROOMS_OF_SETTINGS = {"web": ROOT / "ingest" / "web"}
"""Where modules lie whose names begin like keys, if not in the folder of that name."""


def named_in(text: str) -> set[str]:
    """Return what a text names as a setting; modules and files are none."""
    found = {match[1] for match in NAMED.finditer(text)}
    return {key for key in found if not FILES.search(key) and not is_module(key)}


def is_module(key: str) -> bool:
    first, second, *_ = key.split(".")
    room = ROOMS_OF_SETTINGS.get(first, ROOT / first)
    return (room / f"{second}.py").exists() or (room / second / "__init__.py").exists()


def strings_of(path: Path) -> str:
    """Return all texts of a module."""
    texts = (node.value for node in ast.walk(ast.parse(path.read_text())) if is_text(node))
    return "\n".join(f" {text} " for text in texts)


def is_text(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@pytest.mark.parametrize("room", ROOMS)
def test_messages_name_settings_that_exist(room: str) -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {key}"
        for path in (ROOT / room).rglob("*.py")
        for key in named_in(strings_of(path)) - KNOWN
    }
    assert not wrong


def test_pages_name_settings_that_exist() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {key}"
        for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
        for key in named_in(path.read_text()) - KNOWN
    }
    assert not wrong


def test_what_is_no_setting_is_seen() -> None:
    text = "set `download.allowed` or `web.allowed_netwroks`, see `train.loop` and train.txt"
    assert named_in(text) - KNOWN == {"web.allowed_netwroks"}
    assert "web.allowed_networks" in KNOWN
