"""What of a model is there before training: sizes, weights and how its inputs are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenizers import Tokenizer
from torch import Tensor

from openalign.train.data.preprocess import Preprocess
from openalign.train.model.architecture import TextConfig, VisionConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The tokenizer that a text tower was trained with."""

    tokenizer: Tokenizer
    """It truncates and pads."""

    url: str
    """Where its vocabulary was read, for messages."""

    files: Mapping[str, bytes]
    """What it was read from, by the names of the files; an export has them as they are here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """Parts of a model; a part that is None is drawn, or learned."""

    vision: VisionConfig | None = None
    text: TextConfig | None = None
    words: Words | None = None
    """Always there with a text tower."""

    preprocess: Preprocess
    weights: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """By the names of the library's `AlignModel`; all others are drawn."""

    def pieces(self) -> list[str]:
        """Return the word piece of every id of the text tower; empty where an id has none."""
        assert self.words is not None
        assert self.text is not None
        numbers = range(self.text.vocab_size)
        return [self.words.tokenizer.id_to_token(number) or "" for number in numbers]
