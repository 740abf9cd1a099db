"""What operators run (extra `ops`)."""
