"""Checks of a cluster before a job is sent to it."""
