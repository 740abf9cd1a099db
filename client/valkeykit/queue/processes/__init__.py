"""Handlers that run in child processes: the parent's side, the child's side, and how the child finds the function."""
