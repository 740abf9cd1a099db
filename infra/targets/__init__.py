"""Where a server runs: a component for each target, imported only when it is the one asked for."""
