"""Where Beam jobs run, and how a job is built, sent, watched and accounted for."""
