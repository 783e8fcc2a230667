"""The work of the stages that are no Beam jobs: training, evaluation, the report."""
