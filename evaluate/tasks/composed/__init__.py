"""Composed queries of a file of the user's (ALIGN §7)."""
