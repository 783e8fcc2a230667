"""Readers of queries that edit an image in words, and `composed_sets`, which they all become."""
