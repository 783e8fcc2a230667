"""Readers of captioned and of paired data sets: a module a published form, and one for its reading.

Images with captions, pairs that people rated, and queries that edit an image.
"""
