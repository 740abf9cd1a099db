"""Endpoints for `valkeykit doctor` to examine."""
