"""The settings of a model beside what a run begins from: taken from it, or in conflict with it.

A setting that has its default value counts as unset: the value of what the run begins from is
taken. Any other value must be that value. `max_tokens` alone is a bound: a model that takes more
keeps its positions, and texts are cut at the setting.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

from openalign.errors import ConfigError
from openalign.train.config import ModelConfig
from openalign.train.data.words import Normalization, WordRules
from openalign.train.presets import (
    IMAGE_PRESETS,
    TEXT_PRESETS,
    ImageShape,
    ImageTower,
    TextShape,
    TextTower,
)

_MODEL = "train.model"
_OF_WORDS = tuple(spec.name for spec in fields(WordRules))


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """What is known of a model before it is trained; None where it says nothing."""

    image: ImageShape | None = None
    text: TextShape | None = None
    resize_px: int | None = None
    crop_px: int | None = None
    max_tokens: int | None = None
    """Tokens at which its tokenizer cuts a text."""

    num_positions: int | None = None
    """Tokens of the longest text that it can take."""

    vocabulary_size: int | None = None
    lowercase: bool | None = None
    normalization: Normalization | None = None
    split_symbols: bool | None = None

    @classmethod
    def of(cls, rules: WordRules | None, **sizes: Any) -> "KnownModel":
        """Return what is known of a model whose tokenizer follows these rules, if any of ours."""
        return cls(**sizes, **({} if rules is None else asdict(rules)))


def agreed(
    model: ModelConfig, found: KnownModel, *, origin: str
) -> tuple[ModelConfig, Sequence[str]]:
    """Return the settings with what was found laid in, and a line for each that was taken.

    Raises:
        ConfigError: settings have other values than their defaults, and than was found; it names
            them all.
    """
    default = ModelConfig()
    scalars = ("resize_px", "crop_px", "vocabulary_size", *_OF_WORDS)
    rows: list[tuple[str, Any, Any, Any]] = [
        ("image_tower", model.image_tower.shape, default.image_tower.shape, found.image),
        ("text_tower", model.text_tower.shape, default.text_tower.shape, found.text),
        *(
            (name, getattr(model, name), getattr(default, name), getattr(found, name))
            for name in scalars
        ),
    ]
    taken: list[str] = []
    conflicts: list[_Conflict] = []
    for name, said, usual, value in rows:
        if value is None or said == value:
            continue
        if said != usual:
            conflicts.append(_Conflict(name, _shown(said), _shown(value), _as_yaml(value)))
        taken.append(f"{_MODEL}.{name}: {_as_yaml(value)}")
    max_tokens = _max_tokens(model.max_tokens, default.max_tokens, found)
    if found.num_positions is not None and max_tokens > found.num_positions:
        most = str(found.num_positions)
        positions = f"positions for {most} tokens"
        conflicts.append(_Conflict("max_tokens", str(max_tokens), positions, most))
    if conflicts:
        raise _refusal(conflicts, origin=origin)
    if max_tokens != model.max_tokens:
        taken.append(f"{_MODEL}.max_tokens: {max_tokens}")
    return replace(_laid_in(model, found), max_tokens=max_tokens), taken


class _Conflict(NamedTuple):
    """A setting that has another value than its default, and another than was found."""

    name: str
    said: str
    found: str
    as_yaml: str
    """What may be written instead."""


def _refusal(conflicts: Sequence[_Conflict], *, origin: str) -> ConfigError:
    """Return an error that names all settings to be changed, so that one look is enough."""
    first, *others = conflicts
    and_others = "".join(f"; `{_MODEL}.{c.name}` is {c.said}, and it has {c.found}" for c in others)
    names = " and ".join(f"`{c.name}`" for c in conflicts)
    return ConfigError(
        f"`{_MODEL}.{first.name}` is {first.said}, and {origin}, which `train.init_from` names, "
        f"has {first.found}{and_others}",
        hint=f"leave {names} out, or write what the model has: "
        + ", ".join(f"{c.name}: {c.as_yaml}" for c in conflicts),
    )


def _max_tokens(said: int, usual: int, found: KnownModel) -> int:
    """Return at how many tokens texts are cut; it may be beyond the model's positions."""
    if found.max_tokens is None or found.num_positions is None:
        return said
    return min(said, found.max_tokens) if said == usual else said


def _laid_in(model: ModelConfig, found: KnownModel) -> ModelConfig:
    image, text = model.image_tower, model.text_tower
    if found.image is not None:
        image = _sized_image(image, found.image)
    if found.text is not None:
        text = _sized_text(text, found.text)
    # `vocabulary_size` bounds what is learned, and here nothing is.
    named = ("resize_px", "crop_px", *_OF_WORDS)
    values = {name: getattr(found, name) for name in named if getattr(found, name) is not None}
    return replace(model, image_tower=image, text_tower=text, **values)


def _sized_image(tower: ImageTower, shape: ImageShape) -> ImageTower:
    preset: Any = next((name for name, of in IMAGE_PRESETS.items() if of == shape), tower.preset)
    if IMAGE_PRESETS[preset] == shape:
        return replace(tower, preset=preset, width=None, depth=None)
    return replace(tower, width=shape.width, depth=shape.depth)


def _sized_text(tower: TextTower, shape: TextShape) -> TextTower:
    preset: Any = next((name for name, of in TEXT_PRESETS.items() if of == shape), tower.preset)
    own = {} if TEXT_PRESETS[preset] == shape else shape._asdict()
    none = dict.fromkeys(shape._fields)
    return replace(tower, preset=preset, **{**none, **own})


def _shown(value: Any) -> str:
    if isinstance(value, (ImageShape, TextShape)):
        return ", ".join(f"{name} {number}" for name, number in value._asdict().items())
    return _as_yaml(value)


def _as_yaml(value: Any) -> str:
    presets: dict[str, Any] = {**IMAGE_PRESETS, **TEXT_PRESETS}
    if isinstance(value, (ImageShape, TextShape)):
        names = [name for name, shape in presets.items() if shape == value]
        sizes = ", ".join(f"{name}: {number}" for name, number in value._asdict().items())
        return f"{{preset: {names[0]}}}" if names else f"{{{sizes}}}"
    return str(value).lower() if isinstance(value, bool) else str(value)
