"""Counts over the whole corpus; the rules need them."""
