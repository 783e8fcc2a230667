"""What is measured on benchmarks: a room a family of task kinds, and the table `kinds`.

A kind's own module holds its settings and records and imports nothing heavy. Its siblings
(`..._measures`, `..._section`) are imported when it runs, and its two templates lie beside them.
What families share stands here: what a kind offers (`contract`), what it is given (`benchmark`),
and results class by class (`per_class`). May import drawing, embeddings and the data sets; never
the report's page.
"""
