"""Topologies: replication, Sentinels and clusters, independent of where their servers run."""
