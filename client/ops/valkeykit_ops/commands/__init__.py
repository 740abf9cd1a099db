"""The commands that valkeykit-ops adds to `valkeykit`."""
