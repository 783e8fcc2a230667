"""Runs a pipeline: its settings, the table of stages, and the one runner."""
