"""What tells the fake provider where its cloud is."""

ADDRESS = "STANDIN_AWS"
"""The environment variable with moto's address."""

EXISTING = "STANDIN_EXISTING"
"""The variable with a file of what others made or changed: by a group's id its inputs, as the provider reads them."""
