"""Data sets that tasks measure on: one module a published format, and the table `kinds`.

A reader gives names, splits and captions; it needs no model.
"""
