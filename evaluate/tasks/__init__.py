"""What is measured on benchmarks: a module a task kind, and the table `kinds`.

A kind's own module holds its settings and records and imports nothing heavy. Its siblings
(`..._measures`, `..._section`) are imported when it runs. May import drawing, embeddings and the
data sets; never the report's page.
"""
