"""Retrieval in both directions (ALIGN §5.1)."""
