"""Pipelines that are written in other words: flags, and the command lines of img2dataset."""
