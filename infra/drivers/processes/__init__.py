"""Servers that are processes of this machine."""
