"""VTAB-1k: its 19 tasks, and the two forms in which they are passed around."""
