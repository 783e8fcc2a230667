"""Patterns over the names of parameters: which are frozen, and whose learning rate is another.

The names begin with what the settings call the parts: `image_tower`, `text_tower`,
`text_projection`, `temperature`; what follows is the library's. A pattern means all parameters of
the part that it names. `*`, `?` and `[0-3]` stand for other characters, dots among them.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from openalign.errors import ConfigError

_PARTS = {
    "align.vision_model.": "image_tower.",
    "align.text_model.": "text_tower.",
    "align.text_projection.": "text_projection.",
}
_SHOWN = 3


def name_in_settings(name: str) -> str:
    """Return what settings call a parameter of the towers."""
    for own, part in _PARTS.items():
        if name.startswith(own):
            return part + name.removeprefix(own)
    return name


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names that a pattern means, of those in the settings' form."""
    return [
        name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")
    ]


def check_patterns(patterns: Iterable[str], names: Sequence[str], *, setting: str) -> None:
    """Refuse a pattern that means no parameter.

    Raises:
        ConfigError: it names the pattern, and parameters that there are.
    """
    for pattern in patterns:
        if not matching(pattern, names):
            near = matching(f"{pattern.partition('.')[0]}*", names) or names
            hint = f"there are {len(near)} like {', '.join(near[:_SHOWN])}"
            several = [part.strip() for part in pattern.split(",")]
            if len(several) > 1 and any(matching(part, names) for part in several):
                hint = f"no name has a comma: write each pattern alone, [{', '.join(several)}]"
            raise ConfigError(
                f"`{setting}` names {pattern!r}, and no parameter of the model is called so",
                hint=hint,
            )


def freeze(towers: nn.Module, patterns: Sequence[str]) -> None:
    """Leave the parameters that patterns mean as they are: they get no gradient.

    Raises:
        ConfigError: a pattern means no parameter, or nothing is left to train.
    """
    named = {name_in_settings(name): parameter for name, parameter in towers.named_parameters()}
    check_patterns(patterns, list(named), setting="train.frozen")
    for pattern in patterns:
        for name in matching(pattern, named):
            named[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in named.values()):
        raise ConfigError("`train.frozen` leaves no parameter to train")


def is_frozen(module: nn.Module) -> bool:
    """Tell whether a module has parameters, and none of them is trained."""
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
