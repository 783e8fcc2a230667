"""What reading a starting point gives, whichever kind it is of."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.train.config import ModelConfig
from openalign.train.model.pretrained import Pretrained


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOrigin:
    """A model, or parts of one, and the settings that agree with it."""

    model: ModelConfig
    pretrained: Pretrained
    taken: Sequence[str]
    """The settings that were unset and have the model's value now."""

    content: str
    """The hash of all files that were read; empty where no weights were."""
