"""How settings are declared, read from YAML and bounded. Imports nothing but PyYAML."""
