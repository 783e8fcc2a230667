"""Charts and the funnel, shared by the terminal and the report."""
