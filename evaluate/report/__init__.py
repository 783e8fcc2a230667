"""The report: one page about a whole run. Task kinds add their sections through their table."""
