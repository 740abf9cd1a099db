"""Handlers in child processes: parent, child, and references to functions."""
