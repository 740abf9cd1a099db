"""Environment variables of the fake AWS provider."""

ADDRESS = "FAKE_AWS_ADDRESS"
"""The environment variable with moto's address."""

EXISTING = "FAKE_AWS_EXISTING"
"""The variable with a file of what others made or changed: by a group's id its inputs, as the provider reads them."""
