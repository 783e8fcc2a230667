"""Where candidates come from: a module a source kind, and the table `kinds`.

A kind's own module holds its settings and checks and imports nothing heavy. Its sibling
(`..._reading`) is imported when the source is read. `contract` says what a kind offers.
"""
