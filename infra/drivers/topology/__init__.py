"""What replicas, Sentinels and clusters need, wherever their servers run."""
