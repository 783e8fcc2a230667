"""Archives of the web (WARC and WAT files): which there are, their bytes, and their records.

A record that is damaged costs itself alone. What is left of a damaged file is read.
"""
