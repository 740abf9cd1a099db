"""Dynamic providers: the drivers as resources of Pulumi."""
