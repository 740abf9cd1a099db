"""Fake clouds, and stacks that the real Pulumi engine deploys to them."""
