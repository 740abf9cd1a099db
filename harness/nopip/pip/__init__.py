"""Stands in for pip: see harness/project.py."""
