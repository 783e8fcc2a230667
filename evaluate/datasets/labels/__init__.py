"""Readers of labelled data sets: a module a published form, and one for its reading."""
