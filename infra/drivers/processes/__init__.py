"""The process driver: servers that run as processes of this machine."""
