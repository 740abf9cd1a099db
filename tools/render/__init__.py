"""`python -m tools render`: a folder with all that a server needs, for who doesn't use Pulumi."""

from tools.render.command import render

__all__ = ["render"]
