"""Stands in for pip: see tests/project.py."""
