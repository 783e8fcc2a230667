"""The elements of a parsed page, each with its texts, its language and its images."""
