"""Rendering of a deployment into a folder, for use without Pulumi: `python -m tools render`."""

from tools.render.command import render

__all__ = ["render"]
