"""Tables of URLs as they are found: which files there are, and the rows of each format.

A format is a pair of functions in the table of `formats`.
"""
