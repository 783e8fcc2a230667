"""What reports are drawn with: numbers, small images, and which queries are shown.

Lies below the task kinds, which use it for their sections.
"""
