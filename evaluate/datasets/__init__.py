"""Readers of benchmark formats; none of them imports torch."""
