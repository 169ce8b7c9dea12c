"""Watches, without a network."""
