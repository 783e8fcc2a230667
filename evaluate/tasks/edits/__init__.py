"""Images edited in words (ALIGN §7), as data sets publish such queries: CIRR and FashionIQ.

What both share lies in `edits`, `edits_measures` and `edits_section`. May import `composed`.
"""
