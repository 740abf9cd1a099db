"""The driver of containers: one deployment on one Docker engine. It knows nothing of Pulumi."""
