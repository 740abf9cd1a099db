"""Tools for operators (extra `ops`)."""
