"""Drivers that create and change servers, without Pulumi."""
