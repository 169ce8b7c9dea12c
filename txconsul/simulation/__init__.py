"""Whole clusters in one deterministic process (layer 6)."""
