"""Where candidates come from: one module a `kind:` of source."""
