"""Tools for operators: migrate, doctor, stats and bench."""
