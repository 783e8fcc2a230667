"""How images are decoded for a model: a choice of the settings, apart from what carries it out."""

from typing import Literal

Decoding = Literal["auto", "ours", "processor"]
"""`ours` is the decoding of `fetch` and `train`, `processor` that of Hugging Face's pipeline.
`auto` takes the first for our own exports, and the second for every other model."""
