"""Beam jobs: runners, building, sending, watching and summaries."""
