"""Rendering of a deployment into a folder, for use without Pulumi: `python -m stackctl render`."""

from stackctl.render.command import render

__all__ = ["render"]
