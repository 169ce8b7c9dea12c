"""Duties held only while leading, each a service started and stopped with the others (layer 6)."""
