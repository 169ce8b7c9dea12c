"""Disks: log, term and vote, snapshots (layer 2)."""
