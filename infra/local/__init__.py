"""Drivers for what runs on this machine, and the thin Pulumi providers over them."""
