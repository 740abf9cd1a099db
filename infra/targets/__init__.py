"""The targets: one component for each place that Valkey runs."""
