"""A page's bytes as text: its encoding, and XHTML as HTML."""
