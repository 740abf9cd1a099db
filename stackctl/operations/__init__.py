"""The operations: one module for each command, with the checks and the order of its steps."""
