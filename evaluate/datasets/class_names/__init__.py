"""Class names and prompt templates: known lists of other libraries, and people's own files."""
