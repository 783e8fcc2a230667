"""Readers of benchmark files: names, splits and captions, without a model."""
