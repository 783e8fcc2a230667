"""What the loss of a global batch is, beside embeddings and temperature."""

from dataclasses import dataclass

from openalign.train.model.loss_forms.candidates import SameImages
from openalign.train.model.loss_forms.global_rows import GlobalRows


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTerms:
    """What every form of the loss is told."""

    label_smoothing: float
    """Mass that a target moves off the matching pair, to all candidates alike."""

    rows: GlobalRows
    same_images: SameImages | None
    """None: every pair is a candidate of every other."""
