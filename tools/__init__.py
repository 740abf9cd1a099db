"""What `make` runs: the Pulumi CLI, the stack's life, and its URLs in files."""
