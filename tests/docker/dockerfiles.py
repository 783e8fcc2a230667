"""What tests of the images read: Dockerfiles, their arguments filled in, and constraints.txt."""

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("*/Dockerfile"))


@dataclass(slots=True)
class BuildStage:
    """One stage of a Dockerfile."""

    base: str
    arguments: dict[str, str] = field(default_factory=dict[str, str])
    instructions: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Instruction and value; arguments of this stage are filled in with their defaults."""

    def values(self, instruction: str) -> list[str]:
        """Return the values of one instruction, in order."""
        return [value for name, value in self.instructions if name == instruction]


def stages(dockerfile: Path) -> list[BuildStage]:
    """Read the stages of a Dockerfile. Arguments before the first are for the bases alone."""
    with tempfile.TemporaryFile() as copy:
        copy.write(dockerfile.read_bytes())
        lines = DockerfileParser(fileobj=copy).structure  # pyright: ignore[reportArgumentType]
    of_bases: dict[str, str] = {}
    found: list[BuildStage] = []
    for line in lines:
        instruction, value = line["instruction"], line["value"]
        if instruction == "FROM":
            found.append(BuildStage(_filled(value, of_bases).partition(" AS ")[0]))
        elif instruction == "ARG":
            name, _, default = value.partition("=")
            (found[-1].arguments if found else of_bases)[name] = default
        elif instruction != "COMMENT":
            filled = _filled(value, found[-1].arguments)
            found[-1].instructions.append((instruction, filled))
    return found


def _filled(value: str, arguments: dict[str, str]) -> str:
    return Template(value).safe_substitute(arguments)


def pins() -> dict[str, str]:
    """Return the versions of constraints.txt by package."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([^=\n]+)==(\S+)$", text, flags=re.MULTILINE))
