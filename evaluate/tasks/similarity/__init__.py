"""Cosines beside people's ratings: of captions and images, and of words."""
