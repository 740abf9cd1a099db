"""The docker target: containers on a Docker engine, with TLS. `planning` needs no Pulumi."""
