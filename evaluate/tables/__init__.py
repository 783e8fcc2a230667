"""The paper's tables: what others have published, and a run's own numbers in the same columns.

The rows are typed records, one module a subject. `filling` puts runs into them (`placing` says
where, `recipes` how a fine-tuning differs), `origins` says where each number comes from, `export`
writes CSV and LaTeX. Nothing here draws a page.
"""
