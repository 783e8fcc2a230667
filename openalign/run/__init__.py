"""How a pipeline is run: its settings, the table of stages, and the one runner."""
