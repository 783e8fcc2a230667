"""What verbs do that are no stage: report, compare, serve a search page."""
