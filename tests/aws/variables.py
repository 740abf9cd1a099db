"""What tells the stand-in where its cloud is."""

ADDRESS = "STANDIN_AWS"
"""The environment variable with moto's address."""

EXISTING = "STANDIN_EXISTING"
"""The variable with a file of replication groups made by others: by id their inputs, as the provider reads them."""
