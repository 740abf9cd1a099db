"""A YAML writer whose output YAML 1.1 and 1.2 parsers read alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Quotes text that begins like a number: YAML 1.2 reads 0899 and 12e3 as numbers, YAML 1.1 does not."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile("[-+]?[.]?[0-9]"), list("-+.0123456789"))


def to_yaml(document: Mapping[str, Any]) -> str:
    """The document with its keys in their order; text stays text."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False)
