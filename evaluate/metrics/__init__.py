"""The arithmetic under all numbers: cosines and ties, ranks, correlations, and intervals.

Works on arrays, and knows neither data sets nor tasks.
"""
