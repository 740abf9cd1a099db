"""The Docker driver: one deployment of containers on one engine."""
