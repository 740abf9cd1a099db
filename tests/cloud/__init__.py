from pathlib import Path

URNS = Path(__file__).with_name("urns")
"""The types and names of the resources of existing stacks."""
