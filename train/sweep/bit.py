"""The ranges of BiT's appendix A, whose row the paper's VTAB result stands beside (ALIGN §5.3).

The paper swept "50 trials" over the ranges of VTAB's own appendix I, which were never published as
code; these are the published substitute. BiT took 40 trials.
"""

from openalign.train.sweep.ranges import Choice, LogUniform, Range, Uniform

LEARNING_RATE = "learning_rate"
UPDATES = "updates"
DROPOUT = "dropout"
DECAY = "decay"
"""Towards the initial weights, not towards zero."""

MIXUP = "mixup"
"""MixUp's alpha; 0 mixes nothing."""

RESOLUTION_PX = "resolution_px"

BIT_RANGES: dict[str, Range] = {
    LEARNING_RATE: LogUniform(1e-4, 1e-1),
    UPDATES: Choice((500, 1_000, 2_000, 4_000, 8_000, 16_000)),
    DROPOUT: Uniform(0.0, 0.7),
    DECAY: LogUniform(1e-6, 1e-1),
    MIXUP: Choice((0.0, 0.05, 0.1, 0.2, 0.4)),
    RESOLUTION_PX: Choice((64, 128, 192, 256, 320, 384)),
}

FROZEN_RANGES: dict[str, Range] = {
    name: BIT_RANGES[name] for name in (LEARNING_RATE, UPDATES, DROPOUT, DECAY)
}
"""What applies to a head on embeddings that are made once: no pixel is seen again, so none is mixed
and none is resized."""
