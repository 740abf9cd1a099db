"""`pip list --format json` of an environment without packages."""

print("[]")
