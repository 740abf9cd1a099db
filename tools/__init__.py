"""The operator's commands, which `make` runs."""
