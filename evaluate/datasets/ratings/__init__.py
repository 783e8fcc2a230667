"""Readers of pairs that people rated, and what they become: `cxc_ratings` and `word_pairs`."""
