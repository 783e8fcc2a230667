"""What people look at, shared by the terminal and the report: charts and the funnel."""
