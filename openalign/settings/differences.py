"""Which settings of two makings of a result differ, told by their paths."""

import json
from typing import Any, cast


def settings_that_differ(old: Any, new: Any, path: str = "") -> list[str]:
    """Name every setting whose value changed, as `text.min_count: 2 -> 3`."""
    sections, later = _sections(old), _sections(new)
    if sections and len(sections) == len(later):
        return [
            line
            for number, (before, after) in enumerate(zip(sections, later, strict=True))
            for line in settings_that_differ(before, after, f"{path}[{number}]")
        ]
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [f"{path}: {_brief(old)} -> {_brief(new)}"]
    before, after = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
    return [
        line
        for name in dict.fromkeys([*before, *after])
        for line in settings_that_differ(
            before.get(name), after.get(name), f"{path}.{name}".lstrip(".")
        )
    ]


def _sections(value: Any) -> list[Any]:
    """Return the items of a list of sections; none of anything else."""
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return items if all(isinstance(item, dict) for item in items) else []


def _brief(value: Any) -> str:
    """Return a value as YAML has it, but a list of sections, which may be long, by its length."""
    sections = _sections(value)
    if sections:
        return f"a list of {len(sections)}"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
