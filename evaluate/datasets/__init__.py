"""Data sets that tasks measure on: one module a published format, and the table `kinds`.

Formats lie in rooms by what they say of images: `captions`, `labels`, `ratings`, `edits`. A reader
gives names, splits and captions; it needs no model.
"""
