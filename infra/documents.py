"""YAML that every parser reads alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Quotes text that begins as a number does: YAML 1.2 takes 0899 and 12e3 for numbers, YAML 1.1 doesn't."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile("[-+]?[.]?[0-9]"), list("-+.0123456789"))


def to_yaml(document: Mapping[str, Any]) -> str:
    """The document, its keys in their order; text stays text, whatever it looks like."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False)
