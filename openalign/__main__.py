"""`python -m openalign`, the same as the `openalign` command."""

from openalign.cli import entry

entry()
