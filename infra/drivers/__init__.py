"""What creates and changes servers, without Pulumi."""
