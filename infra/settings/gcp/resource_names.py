"""Full resource names of Google Cloud, such as projects/PROJECT/locations/LOCATION/instances/NAME."""

from __future__ import annotations

import re

BACKUP_NAME = re.compile(r"projects/[^/\s]+/locations/[^/\s]+/backupCollections/[^/\s]+/backups/[^/\s]+")


def project_of(resource: str) -> str:
    return resource.split("/")[1]


def is_elsewhere(resource: str, location: str) -> bool:
    """Whether a resource is in another location; an empty name is in none."""
    return bool(resource and location) and f"/{location}/" not in resource


def moved(resource: str, location: str) -> str:
    """The same name in another location."""
    project, _, rest = resource.partition("/locations/")
    return f"{project}/locations/{location}/{rest.partition('/')[2]}"
