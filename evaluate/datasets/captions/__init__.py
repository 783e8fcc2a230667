"""Readers of images with captions: a module a published form, and one for its reading."""
